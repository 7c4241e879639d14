import RingPeer

/// What waits for the disk, in order: rows, and what is to be done once they are durable.
///
/// A disk that stands still is no reason to take in more without bound: from ``lengthMax`` on
/// nothing is accepted that would have to be written, and whoever sent it tries again.
struct WriteBacklog {
    /// Some hundred times what a write takes on a busy node.
    static let lengthMax = 64 << 20
    /// What a row costs besides its key and its value.
    private static let rowLength = 64

    private(set) var writes: [(rows: [PeerRow], then: [PeerEffect])] = []
    /// Bytes of the rows that wait.
    private(set) var length = 0

    var isEmpty: Bool { writes.isEmpty }

    var isFull: Bool { length >= Self.lengthMax }

    mutating func add(_ rows: [PeerRow], then: [PeerEffect]) {
        writes.append((rows, then))
        for row in rows { length += Self.rowLength + row.key.count + (row.value?.count ?? 0) }
    }

    mutating func takeAll() -> [(rows: [PeerRow], then: [PeerEffect])] {
        defer { self = WriteBacklog() }
        return writes
    }
}
