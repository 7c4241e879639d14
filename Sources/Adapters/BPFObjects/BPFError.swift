/// Why the dataplane could not do what it was asked.
package enum BPFError: Error, Hashable, Sendable {
    /// The kernel refuses BPF to this process (EPERM or EACCES).
    case notPrivileged(operation: String)
    /// The pin directory or its parent is not on a BPF file system.
    case notOnBPFFS(path: String)
    /// A directory or pin could not be made, read or removed.
    case pin(path: String, errno: Int32)
    /// A pinned map has another shape than this version's programs.
    case layoutDiffers(map: String, pinned: MapLayout, wanted: MapLayout)
    /// A later release has made this map anew.
    case laterRevision(map: String, known: Int)
    /// The kernel would not load a program; `log` ends with the verifier's reason.
    case programRejected(program: String, errno: Int32, log: String)
    /// A map holds as many rows as it may.
    case mapFull(map: String, max: Int)
    /// A map call failed for another reason.
    case map(name: String, operation: String, errno: Int32)
    /// No network interface has this index in the caller's network namespace.
    case noSuchInterface(ifindex: UInt32)
    /// A program could not be attached or replaced.
    case attach(hook: AttachHook, ifindex: UInt32, errno: Int32)
    /// The socket of the tunnel echo could not be used.
    case socket(operation: String, errno: Int32)
    /// An attachment key that cannot be a file name in a BPF file system.
    case invalidKey(String)
}

extension BPFError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notPrivileged(let operation):
            return "\(operation): the kernel refuses bpf to this process; run it as root or with "
                + "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
        case .notOnBPFFS(let path):
            return "\(path) is not on a bpf file system; mount one there with "
                + "`mount -t bpf bpf /sys/fs/bpf`"
        case .pin(let path, let code):
            return "cannot use pin \(path): \(errnoText(code)); look at the directory's mount and "
                + "permissions"
        case .layoutDiffers(let map, let pinned, let wanted):
            return "pinned map \(map) has \(pinned) but this version wants \(wanted); run the "
                + "version that made it, or take its dataplane off with `genied uninstall` first"
        case .laterRevision(let map, let known):
            return
                "pinned map \(map) is of a later release (this one knows revision \(known)): start "
                + "that release, or take its dataplane off with `genied uninstall` first"
        case .programRejected(let program, let code, let log):
            return "the kernel will not load program \(program): \(errnoText(code)); it needs "
                + "Linux 5.18 or later with BPF; the verifier said: \(log)"
        case .mapFull(let map, let max):
            return "map \(map) is full: it holds at most \(max) rows; delete rows or spread the "
                + "pods over more nodes"
        case .map(let name, let operation, let code):
            return "cannot \(operation) map \(name): \(errnoText(code)); restart the agent to "
                + "reconcile it"
        case .noSuchInterface(let ifindex):
            return "no interface has index \(ifindex) in this network namespace; attach after "
                + "creating it"
        case .attach(let hook, let ifindex, let code):
            return "cannot attach to \(hook) of interface \(ifindex): \(errnoText(code)); "
                + hook.remedy
        case .socket(let operation, let code):
            return
                "cannot \(operation) the tunnel echo's socket: \(errnoText(code)); check that the "
                + "node's address is on an interface of this machine"
        case .invalidKey(let key):
            return "attachment key \"\(key)\" is not usable as a pin name; use 1 to "
                + "\(AttachmentKey.lengthMax) letters, digits, - and _"
        }
    }
}

extension AttachHook {
    fileprivate var remedy: String {
        switch self {
        case .tcx, .clsact: "see what else is attached with `bpftool net`"
        case .nativeXDP:
            "receive through tc (--uplink-mode tc), or see what holds XDP with `bpftool net`"
        }
    }
}
