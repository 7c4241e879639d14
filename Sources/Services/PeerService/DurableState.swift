import Addressing
import Determinism
import RingPeer
import RingPlacement
import SQLiteRows
import Wire

/// What a peer keeps in its database between starts.
struct DurableState {
    let node: NodeID
    let storage: NodeID
    let boot: UInt64
    let configuration: RingConfiguration?
    let rows: [PeerRow]

    /// Rows that say who the node is; the number is part of the file's layout.
    private static let identitySpace = 1

    private enum Key {
        static let node = Array("node".utf8)
        static let storage = Array("storage".utf8)
        static let boot = Array("boot".utf8)
        static let taken = Array("taken".utf8)
    }

    /// Reads the state, makes identities where there are none, and raises the boot counter durably.
    init(startingFrom store: RowStore) throws {
        var generator = SystemRandomNumberGenerator()
        let identity = try store.rows(space: Self.identitySpace)
            .reduce(into: SortedMap<String, [UInt8]>()) { map, row in
                map[String(decoding: row.key, as: UTF8.self)] = row.value
            }
        guard identity["taken"] == nil else {
            throw PeerServiceError.identityTaken(path: store.path)
        }
        node = try Self.id(identity["node"], store) ?? NodeID(using: &generator)
        storage = try Self.id(identity["storage"], store) ?? NodeID(using: &generator)
        boot = try Self.number(identity["boot"], store) + 1
        try store.write([
            StoredRow(space: Self.identitySpace, key: Key.node, value: Self.bytes(node)),
            StoredRow(space: Self.identitySpace, key: Key.storage, value: Self.bytes(storage)),
            StoredRow(space: Self.identitySpace, key: Key.boot, value: Self.bytes(boot)),
        ])
        let newest = try store.rows(space: PeerRow.Space.configuration.rawValue).first?.value
        configuration = try newest.map { bytes in
            guard let read = try? RingConfiguration(encoded: bytes[...]) else {
                throw PeerServiceError.unreadableRow(path: store.path, field: "ring configuration")
            }
            return read
        }
        var rows: [PeerRow] = []
        for space in PeerRow.Space.allCases where space != .configuration {
            rows += try store.rows(space: space.rawValue).map {
                PeerRow(space: space, key: $0.key, value: $0.value)
            }
        }
        self.rows = rows
    }

    /// Remembers that the ring knows of a later life of this node: it never starts again from here.
    static func markTaken(_ store: RowStore) throws(RowStoreError) {
        try store.write([StoredRow(space: identitySpace, key: Key.taken, value: [1])])
    }

    private static func bytes(_ id: NodeID) -> [UInt8] { bytes(id.high) + bytes(id.low) }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(number)
        return writer.bytes
    }

    private static func id(_ bytes: [UInt8]?, _ store: RowStore) throws -> NodeID? {
        guard let bytes else { return nil }
        var reader = ByteReader(bytes)
        guard let high: UInt64 = try? reader.readInteger("identity"),
            let low: UInt64 = try? reader.readInteger("identity")
        else { throw PeerServiceError.unreadableRow(path: store.path, field: "identity") }
        return NodeID(high: high, low: low)
    }

    private static func number(_ bytes: [UInt8]?, _ store: RowStore) throws -> UInt64 {
        guard let bytes else { return 0 }
        var reader = ByteReader(bytes)
        guard let number: UInt64 = try? reader.readInteger("boot") else {
            throw PeerServiceError.unreadableRow(path: store.path, field: "boot counter")
        }
        return number
    }
}
