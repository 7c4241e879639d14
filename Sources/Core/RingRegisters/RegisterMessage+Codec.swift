package import Wire

extension RegisterMessage {
    /// The message's bytes: kind, round, a number, then the fields in the order of the case.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .prepare(let round, let epoch, let key, let ballot):
            writer.write(1, round, epoch)
            writer.write(key)
            ballot.write(to: &writer)
        case .accept(let round, let epoch, let key, let accepted, let next):
            writer.write(2, round, epoch)
            writer.write(key)
            accepted.write(to: &writer)
            next.write(to: &writer)
        case .list(let round, let epoch, let prefix):
            writer.write(3, round, epoch)
            writer.write(prefix)
        case .promise(let round, let accepted):
            writer.write(4, round, accepted == nil ? 0 : 1)
            accepted?.write(to: &writer)
        case .accepted(let round): writer.write(5, round, 0)
        case .rejected(let round, let promised):
            writer.write(6, round, 0)
            promised.write(to: &writer)
        case .wrongEpoch(let round, let group):
            writer.write(7, round, 0)
            group.write(to: &writer)
        case .keys(let round, let keys):
            writer.write(8, round, 0)
            writer.write(list: keys) { $0.write($1) }
        case .look(let round, let epoch, let key):
            writer.write(9, round, epoch)
            writer.write(key)
        case .seen(let round, let accepted):
            writer.write(10, round, accepted == nil ? 0 : 1)
            accepted?.write(to: &writer)
        case .notReady(let round): writer.write(11, round, 0)
        case .seal(let round, let epoch, let next):
            writer.write(12, round, epoch)
            next.write(to: &writer)
        case .sealed(let round): writer.write(13, round, 0)
        case .fetch(let round, let epoch, let after):
            writer.write(14, round, epoch)
            writer.write(after != nil)
            writer.write(after ?? "")
        case .entries(let round, let entries, let isLast):
            writer.write(15, round, isLast ? 1 : 0)
            writer.write(list: entries) { $1.write(to: &$0) }
        case .install(let round, let group, let part, let entries, let isLast):
            writer.write(16, round, UInt64(part) << 1 | (isLast ? 1 : 0))
            group.write(to: &writer)
            writer.write(list: entries) { $1.write(to: &$0) }
        case .installed(let round, let part): writer.write(17, round, UInt64(part))
        case .identify(let round): writer.write(18, round, 0)
        case .identity(let round, let storage):
            writer.write(19, round, 0)
            writer.write(storage)
        case .vouch(let round, let storage, let question):
            writer.write(20, round, question.life.count)
            writer.write(storage)
            writer.write(question.life.number)
            writer.write(question.last != nil)
            question.last?.write(to: &writer)
            writer.write(list: question.attempts) { $0.write($1) }
        case .vouched(let round, let knowsLaterLife):
            writer.write(21, round, knowsLaterLife ? 1 : 0)
        case .perform(let round, let command): command.write(to: &writer, round: round)
        case .performed(let round, let outcome): outcome.write(to: &writer, round: round)
        case .follow(let round, let epoch, let wanted):
            writer.write(30, round, epoch)
            writer.write(list: wanted) {
                $0.write($1.key)
                $0.write($1.version)
            }
        case .news(let round, let entries, let isLast):
            writer.write(31, round, isLast ? 1 : 0)
            writer.write(list: entries) { $1.write(to: &$0) }
        }
        return writer.bytes
    }

    /// Reads a message that another peer wrote.
    package init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        let kind = try reader.readInteger("kind", as: UInt8.self)
        let round = try reader.readInteger("round", as: UInt64.self)
        let number = try reader.readInteger("number", as: UInt64.self)
        // These have no use for it, and each message has one encoding.
        if [5, 6, 7, 8, 11, 13, 18, 19].contains(kind), number != 0 {
            throw .malformed(field: "number")
        }
        switch kind {
        case 1, 2, 3, 9, 12, 14, 16, 18, 20, 24, 30:
            self = try Self.request(kind, round, number, &reader)
        default:
            self = try Self.answer(kind, round, number, &reader)
        }
        try reader.finish()
    }

    private static func request(
        _ kind: UInt8,
        _ round: UInt64,
        _ number: UInt64,
        _ reader: inout ByteReader
    ) throws(WireError) -> RegisterMessage {
        switch kind {
        case 1:
            let key = try reader.readKey()
            let ballot = try Ballot(from: &reader)
            return .prepare(round: round, epoch: number, key: key, ballot: ballot)
        case 2:
            let key = try reader.readKey()
            let accepted = try AcceptedValue(from: &reader)
            let next = try Ballot(from: &reader)
            return .accept(round: round, epoch: number, key: key, accepted, next: next)
        case 3: return .list(round: round, epoch: number, prefix: try reader.readKey())
        case 9: return .look(round: round, epoch: number, key: try reader.readKey())
        case 12:
            return .seal(round: round, epoch: number, next: try StewardSet(from: &reader))
        case 14:
            let hasStart = try reader.readFlag("has start")
            let after = try reader.readKey()
            guard hasStart || after.isEmpty else { throw .malformed(field: "has start") }
            return .fetch(round: round, epoch: number, after: hasStart ? after : nil)
        case 18: return .identify(round: round)
        case 24: return .perform(round: round, try RegisterCommand(version: number, &reader))
        case 30: return .follow(round: round, epoch: number, try reader.readFollowed())
        case 20:
            let storage = try reader.readNodeID("storage")
            let life = StorageLife(count: number, number: try reader.readInteger("life"))
            let last =
                try reader.readFlag("has last life") ? try StorageLife(from: &reader) : nil
            let attempts = try reader.readLives(max: 2 * AcceptorMemory.attemptsMax)
            let question = LifeQuestion(life: life, last: last, attempts: attempts)
            return .vouch(round: round, storage: storage, question)
        default:
            guard number >> 1 <= UInt64(UInt32.max) else { throw .malformed(field: "part") }
            let group = try StewardSet(from: &reader)
            return .install(
                round: round,
                group,
                part: UInt32(number >> 1),
                try reader.readEntries(),
                isLast: number & 1 == 1
            )
        }
    }

    private static func answer(
        _ kind: UInt8,
        _ round: UInt64,
        _ number: UInt64,
        _ reader: inout ByteReader
    ) throws(WireError) -> RegisterMessage {
        switch kind {
        case 4, 10:
            guard number <= 1 else { throw .malformed(field: "has value") }
            let accepted = number == 1 ? try AcceptedValue(from: &reader) : nil
            return kind == 4 ? .promise(round: round, accepted) : .seen(round: round, accepted)
        case 5: return .accepted(round: round)
        case 6: return .rejected(round: round, promised: try Ballot(from: &reader))
        case 7: return .wrongEpoch(round: round, try StewardSet(from: &reader))
        case 8:
            let keys = try reader.readList("keys", max: keysMax) { reader throws(WireError) in
                try reader.readKey()
            }
            return .keys(round: round, keys)
        case 11: return .notReady(round: round)
        case 13: return .sealed(round: round)
        case 15:
            guard number <= 1 else { throw .malformed(field: "is last") }
            return .entries(round: round, try reader.readEntries(), isLast: number == 1)
        case 31:
            guard number <= 1 else { throw .malformed(field: "is last") }
            return .news(round: round, try reader.readEntries(), isLast: number == 1)
        case 17:
            guard number <= UInt64(UInt32.max) else { throw .malformed(field: "part") }
            return .installed(round: round, part: UInt32(number))
        case 21:
            guard number <= 1 else { throw .malformed(field: "knows later life") }
            return .vouched(round: round, knowsLaterLife: number == 1)
        case 25: return .performed(round: round, try RegisterOutcome(kind: number, &reader))
        case 19:
            return .identity(round: round, storage: try reader.readNodeID("storage"))
        default: throw .malformed(field: "kind")
        }
    }
}

/// A command that is handed on: the version, the name, whether it is a change, and that.
extension RegisterCommand {
    fileprivate func write(to writer: inout ByteWriter, round: UInt64) {
        switch self {
        case .read(let key):
            writer.write(24, round, 0)
            writer.write(key)
            writer.write(false)
        case .compareAndSet(let key, let expected, let payload, let operation):
            writer.write(24, round, expected)
            writer.write(key)
            writer.write(true)
            // A value says the same in the same form; its version is the one to be made.
            RegisterValue(version: expected, operation: operation, payload: payload)
                .write(to: &writer)
        case .list: preconditionFailure("names are asked for by everybody themselves")
        }
    }

    fileprivate init(version: UInt64, _ reader: inout ByteReader) throws(WireError) {
        let key = try reader.readKey()
        guard try reader.readFlag("is change") else {
            guard version == 0 else { throw .malformed(field: "number") }
            self = .read(key: key)
            return
        }
        let value = try RegisterValue(from: &reader)
        guard value.version == version else { throw .malformed(field: "version") }
        self = .compareAndSet(
            key: key,
            expectedVersion: version,
            payload: value.payload,
            value.operation
        )
    }
}

/// How a command ended that was handed on: 0 value, 1 committed, 2 conflict, each with the value; 3
/// indeterminate, 4 not done.
extension RegisterOutcome {
    fileprivate func write(to writer: inout ByteWriter, round: UInt64) {
        switch self {
        case .value(let value): Self.write(&writer, round, 0, value)
        case .committed(let value): Self.write(&writer, round, 1, value)
        case .conflict(let value): Self.write(&writer, round, 2, value)
        case .indeterminate: writer.write(25, round, 3)
        case .unavailable, .refused, .keys: writer.write(25, round, 4)
        }
    }

    private static func write(
        _ writer: inout ByteWriter,
        _ round: UInt64,
        _ kind: UInt64,
        _ value: RegisterValue
    ) {
        writer.write(25, round, kind)
        value.write(to: &writer)
    }

    fileprivate init(kind: UInt64, _ reader: inout ByteReader) throws(WireError) {
        switch kind {
        case 0: self = .value(try RegisterValue(from: &reader))
        case 1: self = .committed(try RegisterValue(from: &reader))
        case 2: self = .conflict(try RegisterValue(from: &reader))
        case 3: self = .indeterminate
        case 4: self = .unavailable
        default: throw .malformed(field: "outcome")
        }
    }
}

extension AcceptedValue {
    func write(to writer: inout ByteWriter) {
        ballot.write(to: &writer)
        value.write(to: &writer)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        self.init(ballot: try Ballot(from: &reader), value: try RegisterValue(from: &reader))
    }
}

extension RegisterEntry {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.write(key)
        accepted.write(to: &writer)
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

    fileprivate mutating func readFollowed() throws(WireError) -> [FollowedVersion] {
        try readList("followed", max: RegisterFollowing.keysMax) { reader throws(WireError) in
            let key = try reader.readKey()
            return FollowedVersion(key: key, version: try reader.readInteger("version"))
        }
    }

    fileprivate mutating func readEntries() throws(WireError) -> [RegisterEntry] {
        try readList("entries", max: RegisterMessage.entriesMax) { reader throws(WireError) in
            let key = try reader.readKey()
            return RegisterEntry(key: key, accepted: try AcceptedValue(from: &reader))
        }
    }
}

extension ByteReader {
    /// Reads the numbers of lives.
    mutating func readLives(
        max: Int = AcceptorMemory.attemptsMax
    ) throws(WireError) -> [UInt64] {
        try readList("lives", max: max) { reader throws(WireError) in
            try reader.readInteger("life", as: UInt64.self)
        }
    }
}

extension StorageLife {
    func write(to writer: inout ByteWriter) {
        writer.write(count)
        writer.write(number)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        count = try reader.readInteger("count of lives")
        number = try reader.readInteger("life")
    }
}
