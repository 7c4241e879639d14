package import Determinism

/// The name of a row on a virtual disk.
package struct DiskKey: Hashable, Comparable, Sendable {
    /// The table.
    package let space: Int
    /// The key in it.
    package let key: [UInt8]

    /// Makes a name.
    package init(space: Int, key: [UInt8]) {
        self.space = space
        self.key = key
    }

    package static func < (lhs: DiskKey, rhs: DiskKey) -> Bool {
        lhs.space == rhs.space ? lhs.key.lexicographicallyPrecedes(rhs.key) : lhs.space < rhs.space
    }
}

/// A row to be written; nil content removes it.
package struct DiskRow: Sendable {
    /// The row's name.
    package let key: DiskKey
    /// Its content.
    package let value: [UInt8]?

    /// Makes a row.
    package init(key: DiskKey, value: [UInt8]?) {
        self.key = key
        self.value = value
    }
}

/// Who a node is, as its disk says: born with the disk, but for the count of starts.
package struct DiskIdentity: Hashable, Sendable {
    /// The node.
    package let node: NodeID
    /// The disk as an acceptor of registers.
    package let storage: NodeID
    /// The count of starts, raised before each.
    package var boot: UInt64 = 0
}

/// What a node's disk holds durably.
package struct DiskContent: Sendable {
    /// Who the node is; nil on an empty disk.
    package var identity: DiskIdentity?
    /// The rows.
    package var rows = SortedRows<DiskKey, [UInt8]>()

    mutating func keep(_ written: [DiskRow]) {
        for row in written { rows[row.key] = row.value }
    }
}

/// A node's disk: what is durable, what is being written, and older copies of it.
struct Disk<Effect: Sendable>: Sendable {
    struct Write: Sendable {
        let doneAt: Int64
        let rows: [DiskRow]
        let then: [Effect]
    }

    var content = DiskContent()
    /// Writes under way; a disk is first in, first out.
    var writes: [Write] = []
    /// The content before each of the last starts, for rolling back.
    private(set) var copies: [DiskContent] = []

    static var copiesMax: Int { 3 }

    mutating func copy() {
        copies.append(content)
        if copies.count > Self.copiesMax { copies.removeFirst() }
    }

    mutating func rollBack() {
        // The last copy but one would be of a life before; the last is of before the newest start.
        if let copy = copies.popLast() { content = copy }
    }
}
