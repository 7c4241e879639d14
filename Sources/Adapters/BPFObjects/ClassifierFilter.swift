internal import CLibBPF
internal import Glibc

/// A program as a filter of a clsact queueing discipline: for kernels without tcx, and for new
/// pods.
///
/// The kernel keeps it until the interface goes; there is no link to pin.
struct ClassifierFilter {
    let ifindex: UInt32

    /// One filter of ours an interface, so handle and priority can be fixed.
    private static let handle: UInt32 = 1
    private static let priority: UInt32 = 1

    /// Sizes up to the last field: libbpf wants zeroes behind it, and padding may hold anything.
    private static let hookSize = size(to: \bpf_tc_hook.parent)
    private static let optionsSize = size(to: \bpf_tc_opts.priority)

    private static func size<Structure>(to field: KeyPath<Structure, UInt32>) -> Int {
        guard let offset = MemoryLayout<Structure>.offset(of: field) else {
            preconditionFailure("a field of a C structure has an offset")
        }
        return offset + MemoryLayout<UInt32>.size
    }

    /// Attaches `program`, in place of an earlier one of ours.
    func attach(_ program: Int32) throws(BPFError) {
        var hook = makeHook()
        let created = bpf_tc_hook_create(&hook)
        if let code = failure(of: created), code != EEXIST {
            throw attachError(.clsact, ifindex, code)
        }
        var options = makeOptions()
        options.prog_fd = program
        options.flags = UInt32(BPF_TC_F_REPLACE.rawValue)
        if let code = failure(of: bpf_tc_attach(&hook, &options)) {
            throw attachError(.clsact, ifindex, code)
        }
    }

    /// The id of the program that is attached; nil when there is none, or no such interface.
    func attachedProgramID() -> UInt32? {
        var hook = makeHook()
        var options = makeOptions()
        return bpf_tc_query(&hook, &options) == 0 ? options.prog_id : nil
    }

    /// Takes the filter off; absent is success.
    func detach() throws(BPFError) {
        var hook = makeHook()
        var options = makeOptions()
        let result = bpf_tc_detach(&hook, &options)
        if let code = failure(of: result), code != ENOENT, code != ENODEV {
            throw attachError(.clsact, ifindex, code)
        }
    }

    private func makeHook() -> bpf_tc_hook {
        var hook = bpf_tc_hook()
        hook.sz = Self.hookSize
        hook.ifindex = Int32(ifindex)
        hook.attach_point = BPF_TC_INGRESS
        return hook
    }

    private func makeOptions() -> bpf_tc_opts {
        var options = bpf_tc_opts()
        options.sz = Self.optionsSize
        options.handle = Self.handle
        options.priority = Self.priority
        return options
    }
}
