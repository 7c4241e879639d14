import Determinism
import Wire

/// A durable row of an acceptor: opaque to whoever keeps it; nil content removes it.
package struct AcceptorRow: Hashable, Sendable {
    /// The key, unique among the acceptor's rows.
    package let key: [UInt8]
    /// The content.
    package let value: [UInt8]?

    /// Makes a row.
    package init(key: [UInt8], value: [UInt8]?) {
        self.key = key
        self.value = value
    }
}

/// What an acceptor remembers: the groups it belongs to, and each register in each of them.
///
/// The rows of the group before the present one are kept, frozen, so that a steward that was away
/// during the change can still be given them. Row keys: 0 for the groups; 1, the epoch and the
/// register's name for a register; 2 and a storage for the latest life of another steward.
struct AcceptorMemory: Sendable {
    /// One life of another steward's database.
    private struct Life: Hashable, Sendable {
        let boot: UInt64
        let number: UInt64
    }

    /// One register in one group.
    struct Register: Hashable, Sendable {
        /// The highest ballot that was promised.
        var promised = Ballot.zero
        /// What was taken last.
        var accepted: AcceptedValue?
    }

    /// The group that the acceptor serves; nil while it was never installed.
    private(set) var current: StewardSet?
    /// The group that follows, once the present one is sealed.
    private(set) var next: StewardSet?
    /// The group before, if the acceptor belonged to it.
    private(set) var previous: StewardSet?
    private var lives = SortedMap<NodeID, Life>()
    private var registers = SortedMap<UInt64, SortedMap<String, Register>>()

    /// A memory that serves a group from its foundation, or none.
    init(founding group: StewardSet?) {
        current = group
    }

    /// Reads rows; without a row of groups, `group` is the founding one.
    init(rows: [AcceptorRow], founding group: StewardSet?) throws(WireError) {
        current = group
        for row in rows {
            guard let value = row.value else { continue }
            switch row.key.first {
            case 0: try readGroups(value)
            case 1: try readRegister(row.key, value)
            case 2: try readLife(row.key, value)
            default: throw .malformed(field: "acceptor row")
            }
        }
    }

    /// The registers of a group.
    func registers(_ epoch: UInt64) -> SortedMap<String, Register> {
        registers[epoch] ?? SortedMap()
    }

    subscript(epoch: UInt64, key: String) -> Register {
        registers[epoch]?[key] ?? Register()
    }

    /// Changes a register; the row must be durable before anybody hears of it.
    mutating func set(_ register: Register, _ epoch: UInt64, _ key: String) -> AcceptorRow {
        registers[epoch, default: SortedMap()][key] = register
        return Self.row(register, epoch, key)
    }

    /// Seals the present group.
    mutating func seal(next: StewardSet) -> AcceptorRow {
        self.next = next
        return groupsRow
    }

    /// Begins to serve a group with the given registers.
    mutating func install(_ group: StewardSet, _ entries: [RegisterEntry]) -> [AcceptorRow] {
        var rows: [AcceptorRow] = []
        let isSuccessor = current?.epoch == group.epoch - 1
        for (epoch, map) in registers where !(isSuccessor && epoch == group.epoch - 1) {
            rows += map.keys.map { AcceptorRow(key: Self.key(epoch, $0), value: nil) }
        }
        registers.removeAll { epoch, _ in !(isSuccessor && epoch == group.epoch - 1) }
        previous = isSuccessor ? current : nil
        current = group
        next = nil
        for entry in entries {
            rows.append(set(Register(accepted: entry.accepted), group.epoch, entry.key))
        }
        return rows + [groupsRow]
    }

    /// Notes a life of another steward; nil for the row where there is nothing new to keep.
    mutating func noteLife(
        of storage: NodeID,
        boot: UInt64,
        number: UInt64
    ) -> (isOutlived: Bool, row: AcceptorRow?) {
        let life = Life(boot: boot, number: number)
        if let known = lives[storage], known.boot >= boot { return (known != life, nil) }
        lives[storage] = life
        return (false, Self.row(life, storage))
    }

    /// Everything that is remembered, as rows.
    var rows: [AcceptorRow] {
        var rows = current == nil ? [] : [groupsRow]
        rows += lives.map { Self.row($0.value, $0.key) }
        for (epoch, map) in registers {
            rows += map.map { Self.row($0.value, epoch, $0.key) }
        }
        return rows
    }

    private var groupsRow: AcceptorRow {
        var writer = ByteWriter()
        for group in [current, next, previous] {
            writer.write(group != nil)
            group?.write(to: &writer)
        }
        return AcceptorRow(key: [0], value: writer.bytes)
    }

    private mutating func readGroups(_ value: [UInt8]) throws(WireError) {
        var reader = ByteReader(value)
        func readGroup() throws(WireError) -> StewardSet? {
            try reader.readFlag("has group") ? try StewardSet(from: &reader) : nil
        }
        current = try readGroup()
        next = try readGroup()
        previous = try readGroup()
        try reader.finish()
    }

    private mutating func readRegister(_ key: [UInt8], _ value: [UInt8]) throws(WireError) {
        var keyReader = ByteReader(Array(key.dropFirst()))
        let epoch = try keyReader.readInteger("epoch", as: UInt64.self)
        guard
            let name = String(
                validating: try keyReader.readRaw(keyReader.remaining, "register name"),
                as: UTF8.self
            )
        else { throw .malformed(field: "register name") }
        var reader = ByteReader(value)
        let promised = try Ballot(from: &reader)
        let accepted =
            try reader.readFlag("has value") ? try AcceptedValue(from: &reader) : nil
        try reader.finish()
        registers[epoch, default: SortedMap()][name] =
            Register(promised: promised, accepted: accepted)
    }

    private mutating func readLife(_ key: [UInt8], _ value: [UInt8]) throws(WireError) {
        var keyReader = ByteReader(Array(key.dropFirst()))
        let storage = try keyReader.readNodeID("storage")
        try keyReader.finish()
        var reader = ByteReader(value)
        let boot = try reader.readInteger("boot", as: UInt64.self)
        lives[storage] = Life(boot: boot, number: try reader.readInteger("life"))
        try reader.finish()
    }

    private static func row(_ life: Life, _ storage: NodeID) -> AcceptorRow {
        var key = ByteWriter()
        key.write(UInt8(2))
        key.write(storage)
        var value = ByteWriter()
        value.write(life.boot)
        value.write(life.number)
        return AcceptorRow(key: key.bytes, value: value.bytes)
    }

    private static func key(_ epoch: UInt64, _ name: String) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(UInt8(1))
        writer.write(epoch)
        writer.write(raw: name.utf8)
        return writer.bytes
    }

    private static func row(_ register: Register, _ epoch: UInt64, _ key: String) -> AcceptorRow {
        var writer = ByteWriter()
        register.promised.write(to: &writer)
        writer.write(register.accepted != nil)
        register.accepted?.write(to: &writer)
        return AcceptorRow(key: Self.key(epoch, key), value: writer.bytes)
    }
}
