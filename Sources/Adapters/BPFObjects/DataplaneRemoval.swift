internal import Glibc

/// Takes a node's dataplane away from what is pinned alone: no program is loaded and no layout has
/// to be known, so that any release can remove what any other has left.
package struct DataplaneRemoval: Sendable {
    /// What was found and taken away.
    package enum Removed: Hashable, Sendable {
        /// An attachment; the index is zero where its interface is gone.
        case attachment(name: String, hook: AttachHook, ifindex: UInt32)
        /// A pinned map.
        case map(name: String)
        /// The directory itself.
        case directory(path: String)
    }

    /// The prefix of the names of pods' attachments; what follows is the host-side interface.
    private static let podPrefix = "pod-"

    private let directory: PinDirectory

    /// Looks at what is pinned; nil where nothing is.
    package init?(pinDirectory: String) {
        guard let directory = PinDirectory(existingAt: pinDirectory) else { return nil }
        self.directory = directory
    }

    /// The host-side interfaces of pods that programs are attached to.
    package func podInterfaces() throws(BPFError) -> [String] {
        let names = try directory.names(in: directory.links) + directory.filterPins().map(\.name)
        return names.filter { $0.hasPrefix(Self.podPrefix) }
            .map { String($0.dropFirst(Self.podPrefix.count)) }
    }

    /// Takes everything away.
    ///
    /// - Throws: what could not be taken away; what came before is gone, and a second call goes on.
    package func run() throws(BPFError) -> [Removed] {
        var removed: [Removed] = []
        for name in try directory.names(in: directory.links) {
            let path = "\(directory.links)/\(name)"
            let hook: AttachHook =
                name.hasPrefix(Dataplane.uplinkXDPName) ? .nativeXDP : .tcx
            if let link = try Link(pinnedAt: path, hook: hook, in: directory) {
                let ifindex = try link.target().ifindex
                try link.detach()
                removed.append(.attachment(name: name, hook: hook, ifindex: ifindex))
            }
            try directory.remove(path)
        }
        for (name, ifindex) in try directory.filterPins() {
            let path = directory.filterPath(name, ifindex)
            let filter = ClassifierFilter(ifindex: ifindex)
            if try directory.recordedProgramID(path) == filter.attachedProgramID() {
                try filter.detach()
                removed.append(.attachment(name: name, hook: .clsact, ifindex: ifindex))
            }
            try directory.remove(path)
        }
        for name in try directory.names(in: directory.path) where name.hasPrefix("gr_") {
            try directory.remove(directory.mapPath(name))
            removed.append(.map(name: name))
        }
        try directory.removeAll()
        removed.append(.directory(path: directory.path))
        return removed
    }
}
