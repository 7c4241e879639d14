package import Determinism
package import Wire

/// The value of a node's boot register: the last process that may give out the node's addresses.
///
/// Rule A0 of the allocator: a process first finds the register as the node's disk remembers it,
/// and writes itself there. A disk that was lost, rolled back or copied remembers something else;
/// what was given out since is not on it, so none of its blocks may be given out from again.
package struct BootRecord: Hashable, Sendable {
    /// The count of starts of the process.
    package let boot: UInt64
    /// Drawn by each process: two that start from copies of one disk differ in it.
    package let token: UInt64
    /// How often the node's memory of its addresses began anew; at least 1.
    package let era: UInt64
    /// Whether the node was taken out of the ring; the next process begins an era.
    package let isRemoved: Bool

    /// Makes a record.
    package init(boot: UInt64, token: UInt64, era: UInt64, isRemoved: Bool = false) {
        self.boot = boot
        self.token = token
        self.era = era
        self.isRemoved = isRemoved
    }

    /// The name of a node's boot register.
    package static func registerKey(_ node: NodeID) -> String { "node/\(node)/boot" }

    /// The bytes: boot 8, token 8, era 8, removed 1.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// Reads a register's value.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        try self.init(from: &reader)
        try reader.finish()
    }

    func write(to writer: inout ByteWriter) {
        writer.write(boot)
        writer.write(token)
        writer.write(era)
        writer.write(isRemoved)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        boot = try reader.readInteger("boot")
        token = try reader.readInteger("boot token")
        era = try reader.readInteger("era")
        isRemoved = try reader.readFlag("removed")
    }
}

/// What a node's disk remembers of its boot register.
package struct BootLedger: Hashable, Sendable {
    /// What this node wrote last and knows to be written.
    package private(set) var confirmed: BootRecord?
    /// What processes tried to write since, of which one may have been written.
    package private(set) var attempts: [BootRecord] = []

    /// The most attempts that are remembered; an older one that was written after all begins an
    /// era, which costs blocks and breaks nothing.
    package static let attemptsMax = 16

    /// Makes the ledger of a node that never had one.
    package init() {}

    /// Whether the register holds what the disk expects; nil content is a register never written.
    package func expects(_ held: BootRecord?) -> Bool {
        guard let held else { return confirmed == nil }
        return !held.isRemoved && (held == confirmed || attempts.contains(held))
    }

    /// The record that a process should write over what the register holds.
    package func next(over held: BootRecord?, boot: UInt64, token: UInt64) -> BootRecord {
        let era = max(held?.era ?? 1, confirmed?.era ?? 1)
        return BootRecord(
            boot: max(boot, (held?.boot ?? 0) + (expects(held) ? 0 : 1)),
            token: token,
            era: expects(held) ? era : era + 1
        )
    }

    /// Remembers a record that is about to be written.
    package mutating func attempt(_ record: BootRecord) {
        guard !attempts.contains(record) else { return }
        attempts.append(record)
        if attempts.count > Self.attemptsMax { attempts.removeFirst() }
    }

    /// Remembers a record that was written.
    package mutating func confirm(_ record: BootRecord) {
        confirmed = record
        attempts = []
    }

    /// The row's bytes: has confirmed 1, confirmed 25, the attempts.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(confirmed != nil)
        confirmed?.write(to: &writer)
        writer.write(list: attempts) { $1.write(to: &$0) }
        return writer.bytes
    }

    /// Reads a row.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        if try reader.readFlag("has confirmed") { confirmed = try BootRecord(from: &reader) }
        attempts = try reader.readList("attempts", max: Self.attemptsMax) {
            reader throws(WireError) in
            try BootRecord(from: &reader)
        }
        try reader.finish()
    }
}

/// The value of the register that says that a node was taken out of the ring with authority.
///
/// As long as it is there, stewards take the node's blocks of that era and of those before.
package struct NodeRetirement: Hashable, Sendable {
    /// The last era whose blocks are taken.
    package let era: UInt64

    /// Makes a retirement.
    package init(era: UInt64) {
        self.era = era
    }

    /// What the names of the registers begin with.
    package static let registerPrefix = "retired/"

    /// The name of a node's register.
    package static func registerKey(_ node: NodeID) -> String { registerPrefix + "\(node)" }

    /// The node that a register's name speaks of.
    package static func node(ofKey key: String) -> NodeID? {
        guard key.hasPrefix(registerPrefix) else { return nil }
        return NodeID(key.dropFirst(registerPrefix.count))
    }

    /// The bytes: era 8.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(era)
        return writer.bytes
    }

    /// Reads a register's value.
    package init(encoded: [UInt8]) throws(WireError) {
        var reader = ByteReader(encoded)
        era = try reader.readInteger("era")
        try reader.finish()
    }
}
