/// The name of a map and the revision of its layout, as in `gr_drop_r2`.
struct MapRevision: Hashable {
    let stem: String
    let number: Int

    /// Reads a pin's name; nil for what is no map of ours.
    init?(_ name: String) {
        guard name.hasPrefix("gr_"), let mark = name.lastIndex(of: "_"),
            name[mark...].hasPrefix("_r"), let number = Int(name[mark...].dropFirst(2))
        else { return nil }
        stem = String(name[..<mark])
        self.number = number
    }

    private static let own = Dataplane.Map.allCases.compactMap { MapRevision($0.rawValue) }

    /// Throws where a later release has made a map anew: its rows mean something that is not known
    /// here.
    static func refuseLater(in directory: PinDirectory) throws(BPFError) {
        for name in try directory.names(in: directory.path) {
            guard let found = MapRevision(name),
                let known = own.first(where: { $0.stem == found.stem }), found.number > known.number
            else { continue }
            throw .laterRevision(map: name, known: known.number)
        }
    }

    /// Pinned maps of earlier revisions of those that are known.
    static func superseded(in directory: PinDirectory) throws(BPFError) -> [String] {
        try directory.names(in: directory.path).filter { name in
            guard let found = MapRevision(name) else { return false }
            return own.contains { $0.stem == found.stem && found.number < $0.number }
        }
    }
}

/// The shape of a map: what must be the same for a pinned map to be adopted.
package struct MapLayout: Hashable, Sendable, CustomStringConvertible {
    /// The kernel's number of the map type (`enum bpf_map_type`).
    package let type: UInt32
    /// Bytes in a key.
    package let keySize: UInt32
    /// Bytes in a value.
    package let valueSize: UInt32
    /// The most rows it holds.
    package let entriesMax: UInt32

    /// Makes a layout.
    package init(type: UInt32, keySize: UInt32, valueSize: UInt32, entriesMax: UInt32) {
        self.type = type
        self.keySize = keySize
        self.valueSize = valueSize
        self.entriesMax = entriesMax
    }

    package var description: String {
        "type \(type), \(keySize)-byte keys, \(valueSize)-byte values, \(entriesMax) rows"
    }
}
