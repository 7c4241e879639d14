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
