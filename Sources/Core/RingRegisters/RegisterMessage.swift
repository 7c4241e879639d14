package import Wire

/// What proposers and acceptors say to each other; carried in stream frames.
///
/// `round` is the proposer's own number for one phase of one attempt: an answer to an abandoned
/// phase is told by it. Requests carry the epoch of the steward group.
package enum RegisterMessage: Hashable, Sendable {
    /// Phase one: promise to take nothing older, and tell what was taken.
    case prepare(round: UInt64, epoch: UInt64, key: String, ballot: Ballot)
    /// Phase two: take this value.
    case accept(round: UInt64, epoch: UInt64, key: String, AcceptedValue)
    /// Name the registers that begin so and hold content.
    case list(round: UInt64, epoch: UInt64, prefix: String)
    /// Promised; this was taken before.
    case promise(round: UInt64, AcceptedValue?)
    /// Taken, durably.
    case accepted(round: UInt64)
    /// Refused: this ballot was promised.
    case rejected(round: UInt64, promised: Ballot)
    /// Refused: the steward group has another epoch here.
    case wrongEpoch(round: UInt64, current: UInt64)
    /// The names that were asked for.
    case keys(round: UInt64, [String])

    /// The most names in one answer.
    static let keysMax = 65_536

    /// The message's bytes: kind, round, then the fields in the order of the case.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .prepare(let round, let epoch, let key, let ballot):
            writer.write(UInt8(1), round, epoch)
            writer.write(key)
            ballot.write(to: &writer)
        case .accept(let round, let epoch, let key, let accepted):
            writer.write(UInt8(2), round, epoch)
            writer.write(key)
            accepted.ballot.write(to: &writer)
            accepted.value.write(to: &writer)
        case .list(let round, let epoch, let prefix):
            writer.write(UInt8(3), round, epoch)
            writer.write(prefix)
        case .promise(let round, let accepted):
            writer.write(UInt8(4), round, accepted == nil ? 0 : 1)
            accepted?.ballot.write(to: &writer)
            accepted?.value.write(to: &writer)
        case .accepted(let round): writer.write(UInt8(5), round, 0)
        case .rejected(let round, let promised):
            writer.write(UInt8(6), round, 0)
            promised.write(to: &writer)
        case .wrongEpoch(let round, let current): writer.write(UInt8(7), round, current)
        case .keys(let round, let keys):
            writer.write(UInt8(8), round, 0)
            writer.write(list: keys) { $0.write($1) }
        }
        return writer.bytes
    }

    /// Reads a message that another peer wrote.
    package init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        let kind = try reader.readInteger("kind", as: UInt8.self)
        let round = try reader.readInteger("round", as: UInt64.self)
        let number = try reader.readInteger("epoch", as: UInt64.self)
        // These have no use for it, and each message has one encoding.
        if [5, 6, 8].contains(kind), number != 0 { throw .malformed(field: "epoch") }
        switch kind {
        case 1:
            let key = try reader.readKey()
            let ballot = try Ballot(from: &reader)
            self = .prepare(round: round, epoch: number, key: key, ballot: ballot)
        case 2:
            let key = try reader.readKey()
            let accepted = try AcceptedValue(from: &reader)
            self = .accept(round: round, epoch: number, key: key, accepted)
        case 3: self = .list(round: round, epoch: number, prefix: try reader.readKey())
        case 4:
            guard number <= 1 else { throw .malformed(field: "has value") }
            self = .promise(round: round, number == 1 ? try AcceptedValue(from: &reader) : nil)
        case 5: self = .accepted(round: round)
        case 6: self = .rejected(round: round, promised: try Ballot(from: &reader))
        case 7: self = .wrongEpoch(round: round, current: number)
        case 8:
            let keys = try reader.readList("keys", max: Self.keysMax) { reader throws(WireError) in
                try reader.readKey()
            }
            self = .keys(round: round, keys)
        default: throw .malformed(field: "kind")
        }
        try reader.finish()
    }

    /// Whether the message is an answer, for the proposer, and not a request.
    package var isAnswer: Bool {
        switch self {
        case .prepare, .accept, .list: false
        case .promise, .accepted, .rejected, .wrongEpoch, .keys: true
        }
    }
}

extension AcceptedValue {
    init(from reader: inout ByteReader) throws(WireError) {
        self.init(ballot: try Ballot(from: &reader), value: try RegisterValue(from: &reader))
    }
}

extension ByteWriter {
    fileprivate mutating func write(_ kind: UInt8, _ round: UInt64, _ number: UInt64) {
        write(kind)
        write(round)
        write(number)
    }
}

extension ByteReader {
    fileprivate mutating func readKey() throws(WireError) -> String {
        try readText("key", max: RegisterValue.keyLengthMax)
    }
}
