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
/// register's name for a register; 2 and a storage for the latest life of another steward; 3 for
/// what is known of this database's own lives; 4 for the storage that this acceptor is since its
/// registers were given up.
struct AcceptorMemory: Sendable {
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
    private var lives = SortedMap<NodeID, StorageLife>()
    /// The last life of this database that others vouched for; nil before the first.
    private(set) var lastLife: StorageLife?
    /// The other numbers under which starts asked for ``lastLife``, before one was vouched for.
    private(set) var lastAttempts: [UInt64] = []
    /// The numbers under which starts asked since; nobody has vouched for any.
    private(set) var attempts: [UInt64] = []

    /// So many starts in a row that nobody vouches for are told apart.
    static let attemptsMax = 64
    /// Which storage the acceptor is, where it is another than its database was born as.
    private(set) var storage: NodeID?
    private var registers = SortedMap<UInt64, SortedRows<String, Register>>()

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
            case 3: try readOwnLives(value)
            case 4: try readStorage(value)
            default: throw .malformed(field: "acceptor row")
            }
        }
    }

    /// The registers of a group.
    func registers(_ epoch: UInt64) -> SortedRows<String, Register> {
        registers[epoch] ?? SortedRows()
    }

    subscript(epoch: UInt64, key: String) -> Register {
        registers[epoch]?[key] ?? Register()
    }

    /// Changes a register; the row must be durable before anybody hears of it.
    mutating func set(_ register: Register, _ epoch: UInt64, _ key: String) -> AcceptorRow {
        registers[epoch, default: SortedRows()][key] = register
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

    /// Forgets all groups and registers, and is another storage from now on.
    mutating func erase(becoming storage: NodeID) -> [AcceptorRow] {
        var rows: [AcceptorRow] = []
        for (epoch, map) in registers {
            rows += map.keys.map { AcceptorRow(key: Self.key(epoch, $0), value: nil) }
        }
        registers.removeAll { _, _ in true }
        current = nil
        next = nil
        previous = nil
        self.storage = storage
        return rows + [AcceptorRow(key: [0], value: nil), Self.row(storage)]
    }

    /// Notes a life of another steward, unless one is known that its database has forgotten; nil
    /// for the row where there is nothing new to keep.
    ///
    /// A database remembers the last life that was vouched for, and the numbers under which it
    /// asked for that one and since. What is known here is one of these, or from before the last
    /// one, which this steward was away for; anything else came after it and is not on that disk.
    mutating func noteLife(
        of storage: NodeID,
        _ life: StorageLife,
        last: StorageLife?,
        attempts: [UInt64]
    ) -> (isOutlived: Bool, row: AcceptorRow?) {
        if let known = lives[storage] {
            let isRemembered =
                known.number == life.number || known.number == last?.number
                || attempts.contains(known.number) || known.count < last?.count ?? 0
            guard isRemembered else { return (true, nil) }
        }
        guard lives[storage] != life else { return (false, nil) }
        lives[storage] = life
        return (false, Self.row(life, storage))
    }

    /// Begins a life of this database, under a number of this start's own: a copy of the disk from
    /// before the start has not seen it.
    mutating func beginLife(drawn number: UInt64) -> (life: StorageLife, row: AcceptorRow?) {
        let isNew = attempts.count < Self.attemptsMax
        if isNew { attempts.append(number) }
        let life = StorageLife(count: nextLifeCount, number: attempts.last ?? number)
        return (life, isNew ? ownLivesRow : nil)
    }

    private var nextLifeCount: UInt64 { (lastLife?.count ?? 0) + 1 }

    /// Others have vouched for the life that was begun; the row that says so.
    mutating func endLife() -> AcceptorRow? {
        guard let number = attempts.popLast() else { return nil }
        lastLife = StorageLife(count: nextLifeCount, number: number)
        lastAttempts = attempts
        attempts = []
        return ownLivesRow
    }

    /// Everything that is remembered, as rows.
    var rows: [AcceptorRow] {
        var rows = current == nil ? [] : [groupsRow]
        if lastLife != nil || !attempts.isEmpty { rows.append(ownLivesRow) }
        rows += storage.map { [Self.row($0)] } ?? []
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
        registers[epoch, default: SortedRows()][name] =
            Register(promised: promised, accepted: accepted)
    }

    private mutating func readLife(_ key: [UInt8], _ value: [UInt8]) throws(WireError) {
        var keyReader = ByteReader(Array(key.dropFirst()))
        let storage = try keyReader.readNodeID("storage")
        try keyReader.finish()
        var reader = ByteReader(value)
        lives[storage] = try StorageLife(from: &reader)
        try reader.finish()
    }

    private mutating func readOwnLives(_ value: [UInt8]) throws(WireError) {
        var reader = ByteReader(value)
        lastLife = try reader.readFlag("has last life") ? try StorageLife(from: &reader) : nil
        lastAttempts = try reader.readLives()
        attempts = try reader.readLives()
        try reader.finish()
    }

    private var ownLivesRow: AcceptorRow {
        var writer = ByteWriter()
        writer.write(lastLife != nil)
        lastLife?.write(to: &writer)
        writer.write(list: lastAttempts) { $0.write($1) }
        writer.write(list: attempts) { $0.write($1) }
        return AcceptorRow(key: [3], value: writer.bytes)
    }

    private mutating func readStorage(_ value: [UInt8]) throws(WireError) {
        var reader = ByteReader(value)
        storage = try reader.readNodeID("storage")
        try reader.finish()
    }

    private static func row(_ storage: NodeID) -> AcceptorRow {
        var value = ByteWriter()
        value.write(storage)
        return AcceptorRow(key: [4], value: value.bytes)
    }

    private static func row(_ life: StorageLife, _ storage: NodeID) -> AcceptorRow {
        var key = ByteWriter()
        key.write(UInt8(2))
        key.write(storage)
        var value = ByteWriter()
        life.write(to: &value)
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
