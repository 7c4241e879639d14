import RingPeer

/// What waits for the disk, in order: rows, and what is to be done once they are durable.
///
/// A disk that stands still is no reason to take in more without bound: from ``lengthMax`` on
/// nothing is accepted that would have to be written, and whoever sent it tries again.
struct WriteBacklog {
    /// A peer's memory while its disk stands still; as much again may be with the disk already.
    static let lengthMax = 64 << 20
    /// What a row or a write costs besides the bytes in it.
    private static let overheadLength = 64

    private(set) var writes: [(rows: [PeerRow], then: [PeerEffect])] = []
    /// Bytes that wait: of rows, and of frames that are sent behind them.
    private(set) var length = 0

    var isEmpty: Bool { writes.isEmpty }

    var isFull: Bool { length >= Self.lengthMax }

    mutating func add(_ rows: [PeerRow], then: [PeerEffect]) {
        writes.append((rows, then))
        length += Self.overheadLength
        for row in rows { length += Self.overheadLength + row.key.count + (row.value?.count ?? 0) }
        // Answers to reads have no rows of their own, and can be larger than any.
        for case .frame(let bytes, _, _) in then { length += bytes.count }
    }

    mutating func takeAll() -> [(rows: [PeerRow], then: [PeerEffect])] {
        defer { self = WriteBacklog() }
        return writes
    }
}
