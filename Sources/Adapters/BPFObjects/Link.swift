internal import CLibBPF
internal import Glibc

/// A BPF link: an attachment that lives as long as its pin.
struct Link: ~Copyable {
    let hook: AttachHook
    let descriptor: Descriptor

    /// BPF_TCX_INGRESS, which the C library's headers may be too old to name (Linux 6.6).
    private static let tcxIngress = bpf_attach_type(rawValue: 46)
    /// XDP_FLAGS_DRV_MODE of <linux/if_link.h>.
    private static let driverMode: UInt32 = 1 << 2

    /// Opens a pinned link; nil when there is none.
    init?(pinnedAt path: String, hook: AttachHook, in pins: PinDirectory) throws(BPFError) {
        guard let descriptor = try pins.open(path) else { return nil }
        self.hook = hook
        self.descriptor = descriptor
    }

    /// Attaches `program` to an interface.
    init(hook: AttachHook, ifindex: UInt32, program: Int32) throws(BPFError) {
        var options = bpf_link_create_opts()
        options.sz = MemoryLayout<bpf_link_create_opts>.size
        let type: bpf_attach_type
        switch hook {
        case .tcx:
            type = Self.tcxIngress
        case .nativeXDP:
            type = BPF_XDP
            options.flags = Self.driverMode
        case .clsact:
            preconditionFailure("clsact has no links")
        }
        let result = bpf_link_create(program, Int32(ifindex), type, &options)
        if let code = failure(of: result) {
            throw attachError(hook, ifindex, code)
        }
        self.hook = hook
        descriptor = Descriptor(result)
    }

    /// The interface, zero when it is gone, and the program's id.
    func target() throws(BPFError) -> (ifindex: UInt32, programID: UInt32) {
        var info = bpf_link_info()
        var size = UInt32(MemoryLayout<bpf_link_info>.size)
        let result = bpf_obj_get_info_by_fd(descriptor.number, &info, &size)
        if let code = failure(of: result) {
            throw .attach(hook: hook, ifindex: 0, errno: code)
        }
        // The index comes first in the details of tcx links too.
        return (info.xdp.ifindex, info.prog_id)
    }

    /// Puts another program in place: each packet meets the old one or the new one.
    func replaceProgram(_ program: Int32, ifindex: UInt32) throws(BPFError) {
        if let code = failure(of: bpf_link_update(descriptor.number, program, nil)) {
            throw .attach(hook: hook, ifindex: ifindex, errno: code)
        }
    }

    /// Takes the program off now, whoever else holds the link.
    func detach() throws(BPFError) {
        guard let code = failure(of: bpf_link_detach(descriptor.number)) else { return }
        // The interface is gone, and the attachment with it.
        if code == ENOLINK { return }
        throw .attach(hook: hook, ifindex: 0, errno: code)
    }
}

/// The error for an errno of bpf(2) BPF_LINK_CREATE or of a tc request.
func attachError(_ hook: AttachHook, _ ifindex: UInt32, _ code: Int32) -> BPFError {
    switch code {
    case ENODEV: .noSuchInterface(ifindex: ifindex)
    case EPERM, EACCES: .notPrivileged(operation: "attaching to \(hook)")
    default: .attach(hook: hook, ifindex: ifindex, errno: code)
    }
}
