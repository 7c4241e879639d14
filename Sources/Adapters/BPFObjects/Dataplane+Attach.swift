internal import CLibBPF
internal import Glibc

extension Dataplane {
    private static let podPrefix = "pod-"
    /// Names of uplinks' attachments begin with these and end with the interface's number.
    static let uplinkXDPName = "uplink-xdp"
    private static let uplinkIngressName = "uplink-tc"
    private static let mergeGuardName = "merge-guard"

    /// Attaches ``Program/podEgress`` to a pod's host-side veth, or puts the program loaded now
    /// into the attachment that is pinned under `key` already.
    ///
    /// Write the port first: without one the program drops all that the pod sends.
    ///
    /// A tcx link takes some 10 ms, in which nobody else can change interfaces: the kernel waits
    /// until no CPU can be at what was attached before. A filter takes less than one, and a little
    /// more of each packet. With `isQuick` and ``TrafficControlChoice/automatic`` a new attachment
    /// is a filter; a call without it makes it a link, and no packet passes by both.
    /// - Returns: the hook in use.
    /// - Throws: `.invalidKey`, `.noSuchInterface`, `.attach`; `.pin`, where a program is attached
    ///   of which nothing tells: delete the interface.
    @discardableResult
    package func attachPod(
        ifindex: UInt32,
        key: String,
        isQuick: Bool = false
    ) throws(BPFError) -> AttachHook {
        let name = Self.podPrefix + (try AttachmentKey(key)).text
        if isQuick, trafficControl == .automatic,
            try Link(pinnedAt: linkPath(name), hook: .tcx, in: directory) == nil
        {
            do {
                try attachFilter(.podEgress, ifindex: ifindex, name: name)
                return .clsact
            } catch BPFError.attach {
                // A kernel may have tcx and no filters, and a filter may be another's.
            }
        }
        return try attachIngress(.podEgress, ifindex: ifindex, name: name)
    }

    /// Takes the pins of a pod away whose veth is gone, and its attachments with it.
    package func forgetPod(key: String) throws(BPFError) {
        let name = Self.podPrefix + (try AttachmentKey(key)).text
        try directory.remove(linkPath(name))
        for pin in try directory.filterPins() where pin.name == name {
            try directory.remove(directory.filterPath(name, pin.ifindex))
        }
    }

    /// Detaches what is pinned under `key`; absent is success, and so is a veth that is gone.
    ///
    /// While the veth is up, what it sends reaches the node from then on: see ``forgetPod(key:)``.
    package func detachPod(key: String) throws(BPFError) {
        let name = Self.podPrefix + (try AttachmentKey(key)).text
        try detachLink(name, hook: .tcx)
        try detachFilters(named: name, except: nil)
    }

    /// Attaches an uplink's programs, or adopts what is attached to this interface already.
    ///
    /// Where the driver has no native XDP, or something else holds it, the uplink falls back to tc
    /// alone. What is attached to other uplinks stays: see ``detachUplinks(except:)``.
    /// - Parameters:
    ///   - ifindex: the interface.
    ///   - mode: how it is to receive.
    /// - Returns: what is in force, with the reason when it is not `mode`.
    /// - Throws: `.attach`, `.pin`.
    package func attachUplink(
        ifindex: UInt32,
        mode: UplinkMode
    ) throws(BPFError) -> UplinkAttachment {
        let nameXDP = Self.uplinkName(Self.uplinkXDPName, ifindex)
        let nameIngress = Self.uplinkName(Self.uplinkIngressName, ifindex)
        try renamePin(ofRole: .uplinkXDP, ifindex: ifindex, to: nameXDP)
        try renamePin(ofRole: .uplinkIngress, ifindex: ifindex, to: nameIngress)
        // tc first: what XDP strips needs somebody to deliver it.
        let hook = try attachIngress(
            .uplinkIngress,
            ifindex: ifindex,
            name: nameIngress
        )
        switch mode {
        case .trafficControlOnly:
            try detachLink(nameXDP, hook: .nativeXDP)
            return UplinkAttachment(mode: .trafficControlOnly, hook: hook, fallbackReason: nil)
        case .nativeXDP:
            do {
                try attachLink(
                    .uplinkXDP,
                    hook: .nativeXDP,
                    ifindex: ifindex,
                    name: nameXDP
                )
            } catch {
                // An older program of ours may still be there: what is said must be true.
                try detachLink(nameXDP, hook: .nativeXDP)
                return UplinkAttachment(
                    mode: .trafficControlOnly,
                    hook: hook,
                    fallbackReason: error
                )
            }
            return UplinkAttachment(mode: .nativeXDP, hook: hook, fallbackReason: nil)
        }
    }

    /// Closes the device that the kernel merges tunnel packets with: an interface without a port
    /// is what ``Program/podEgress`` drops everything of.
    ///
    /// To be called before the device is up, or it would be a way to the node for anybody.
    package func attachMergeGuard(ifindex: UInt32) throws(BPFError) {
        try attachIngress(.podEgress, ifindex: ifindex, name: Self.mergeGuardName)
    }

    /// Detaches the programs of all uplinks but of those interfaces, and where there are none,
    /// those of the device that merges; absent is success.
    ///
    /// - Throws: `.attach` where the kernel keeps one, and what reading the directory does.
    package func detachUplinks(except kept: Set<UInt32> = []) throws(BPFError) {
        let names = try directory.names(in: directory.links) + directory.filterPins().map(\.name)
        for name in names {
            switch Self.role(of: name) {
            case .uplinkXDP where !kept.contains(Self.uplinkIndex(name)):
                try detachLink(name, hook: .nativeXDP)
            case .uplinkIngress where !kept.contains(Self.uplinkIndex(name)):
                try detachLink(name, hook: .tcx)
                try detachFilters(named: name, except: nil)
            default: continue
            }
        }
        if kept.isEmpty { try detachMergeGuard() }
    }

    /// Forgets what closed the device that merges; absent is success.
    package func detachMergeGuard() throws(BPFError) {
        try detachLink(Self.mergeGuardName, hook: .tcx)
        try detachFilters(named: Self.mergeGuardName, except: nil)
    }

    /// What is attached, as the kernel has it, by name.
    ///
    /// - Parameter isWanted: which ones to ask the kernel about; there may be thousands of pods.
    /// - Returns: those, links first.
    /// - Throws: `.attach` where the kernel will not tell, and what reading the directory does.
    package func attachments(
        where isWanted: (Attachment.Role) -> Bool = { _ in true }
    ) throws(BPFError) -> [Attachment] {
        var found: [Attachment] = []
        for name in try directory.names(in: directory.links) {
            guard let role = Self.role(of: name), isWanted(role) else { continue }
            let hook: AttachHook = role == .uplinkXDP ? .nativeXDP : .tcx
            let path = linkPath(name)
            guard let link = try Link(pinnedAt: path, hook: hook, in: directory) else { continue }
            let (ifindex, program) = try link.target()
            found.append(
                Attachment(role: role, hook: hook, ifindex: ifindex, programID: program)
            )
        }
        for (name, ifindex) in try directory.filterPins() {
            guard let role = Self.role(of: name), isWanted(role) else { continue }
            let program = ClassifierFilter(ifindex: ifindex).attachedProgramID()
            found.append(
                Attachment(
                    role: role,
                    hook: .clsact,
                    ifindex: program == nil ? 0 : ifindex,
                    programID: program ?? 0
                )
            )
        }
        return found
    }

    func detachAll() throws(BPFError) {
        try detachUplinks()
        for attachment in try attachments() {
            if case .pod(let key) = attachment.role { try detachPod(key: key) }
        }
    }

    // MARK: - Links

    @discardableResult
    private func attachIngress(
        _ program: Program,
        ifindex: UInt32,
        name: String
    ) throws(BPFError) -> AttachHook {
        if trafficControl != .clsactOnly {
            do {
                try attachLink(program, hook: .tcx, ifindex: ifindex, name: name)
                try detachFilters(named: name, except: nil)
                return .tcx
            } catch BPFError.attach(_, _, let code)
                where trafficControl == .automatic && (code == EINVAL || code == EOPNOTSUPP)
            {
                // No tcx in this kernel; a real mistake fails again below.
            }
        }
        try attachFilter(program, ifindex: ifindex, name: name)
        try detachLink(name, hook: .tcx)
        return .clsact
    }

    private func attachLink(
        _ program: Program,
        hook: AttachHook,
        ifindex: UInt32,
        name: String
    ) throws(BPFError) {
        let descriptor = object(program).descriptor
        let path = linkPath(name)
        if let link = try Link(pinnedAt: path, hook: hook, in: directory) {
            if try link.target().ifindex == ifindex {
                try link.replaceProgram(descriptor, ifindex: ifindex)
                return
            }
            try link.detach()
            try directory.remove(path)
        }
        let link = try Link(hook: hook, ifindex: ifindex, program: descriptor)
        try directory.pin(link.descriptor, at: path)
    }

    private func detachLink(_ name: String, hook: AttachHook) throws(BPFError) {
        let path = linkPath(name)
        guard let link = try Link(pinnedAt: path, hook: hook, in: directory) else { return }
        try link.detach()
        try directory.remove(path)
    }

    private func linkPath(_ name: String) -> String { "\(directory.links)/\(name)" }

    // MARK: - clsact filters, recorded by pinning the program under `NAME-at-IFINDEX`

    private func attachFilter(
        _ program: Program,
        ifindex: UInt32,
        name: String
    ) throws(BPFError) {
        let loaded = object(program)
        try ClassifierFilter(ifindex: ifindex).attach(loaded.descriptor)
        let path = directory.filterPath(name, ifindex)
        try directory.remove(path)
        if let code = failure(of: bpf_obj_pin(loaded.descriptor, path)) {
            throw .pin(path: path, errno: code)
        }
        try detachFilters(named: name, except: ifindex)
    }

    private func detachFilters(named name: String, except kept: UInt32?) throws(BPFError) {
        for pin in try directory.filterPins() where pin.name == name && pin.ifindex != kept {
            let path = directory.filterPath(name, pin.ifindex)
            let filter = ClassifierFilter(ifindex: pin.ifindex)
            // The index may belong to another interface by now: only our program goes.
            if let program = try directory.recordedProgramID(path),
                program == filter.attachedProgramID()
            {
                try filter.detach()
            }
            try directory.remove(path)
        }
    }

    private static func uplinkName(_ name: String, _ ifindex: UInt32) -> String {
        "\(name)-\(ifindex)"
    }

    /// Zero, which is no interface's, for a name of a release that knew one uplink.
    private static func uplinkIndex(_ name: String) -> UInt32 {
        name.split(separator: "-").last.flatMap { UInt32($0) } ?? 0
    }

    /// Gives a link that is on the interface already, of an earlier release, the name that it has
    /// now: the kernel has room for one program of XDP.
    private func renamePin(
        ofRole role: Attachment.Role,
        ifindex: UInt32,
        to name: String
    ) throws(BPFError) {
        let hook: AttachHook = role == .uplinkXDP ? .nativeXDP : .tcx
        for other in try directory.names(in: directory.links)
        where other != name && Self.role(of: other) == role {
            let path = linkPath(other)
            guard let link = try Link(pinnedAt: path, hook: hook, in: directory),
                try link.target().ifindex == ifindex
            else { continue }
            try directory.pin(link.descriptor, at: linkPath(name))
            try directory.remove(path)
        }
    }

    private static func role(of name: String) -> Attachment.Role? {
        switch name {
        case _ where name.hasPrefix(uplinkXDPName): .uplinkXDP
        case _ where name.hasPrefix(uplinkIngressName): .uplinkIngress
        case mergeGuardName: .mergeGuard
        case _ where name.hasPrefix(podPrefix): .pod(key: String(name.dropFirst(podPrefix.count)))
        default: nil
        }
    }
}
