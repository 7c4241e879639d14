package import Determinism
package import RingIPAM
package import RingRegisters
package import Wire

/// What one peer has of the registers, and what it has out of them.
package struct Testimony: Hashable, Sendable {
    /// A block that the peer has.
    package struct Block: Hashable, Sendable {
        /// The name of the block's register.
        package let key: String
        /// What the register should hold.
        package let owner: BlockOwner

        /// Makes one.
        package init(key: String, owner: BlockOwner) {
            self.key = key
            self.owner = owner
        }
    }

    /// The epoch of its configuration.
    package let epoch: UInt64
    /// The registry that it belongs to.
    package let registry: NodeID
    /// The group whose registers it holds; nil where it holds none.
    package let group: StewardSet?
    /// The group that it was sealed for; nil where it is not.
    package let successor: StewardSet?
    /// What it knows its boot register to hold; nil before it does.
    package let boot: BootRecord?
    /// Every block that it has.
    package let blocks: [Block]

    /// The most blocks of one node: those of 110 pods many times over.
    package static let blocksMax = 16_384

    /// Makes a testimony.
    package init(
        epoch: UInt64,
        registry: NodeID,
        group: StewardSet?,
        successor: StewardSet?,
        boot: BootRecord?,
        blocks: [Block]
    ) {
        self.epoch = epoch
        self.registry = registry
        self.group = group
        self.successor = successor
        self.boot = boot
        self.blocks = blocks
    }
}

/// What peers ask one another when registers may have been lost.
package enum RecoveryMessage: Hashable, Sendable {
    /// "What do you have?" Who is asked for good claims nothing more in the old registry.
    case ask(round: UInt64, isBinding: Bool)
    /// "This."
    case told(round: UInt64, Testimony)

    /// The message's bytes: a kind, then its fields.
    package var encoded: [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .ask(let round, let isBinding):
            writer.write(UInt8(1))
            writer.write(round)
            writer.write(isBinding)
        case .told(let round, let testimony):
            writer.write(UInt8(2))
            writer.write(round)
            testimony.write(to: &writer)
        }
        return writer.bytes
    }

    /// Reads a message that another peer wrote.
    package init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        switch try reader.readInteger("recovery kind", as: UInt8.self) {
        case 1:
            let round = try reader.readInteger("round", as: UInt64.self)
            self = .ask(round: round, isBinding: try reader.readFlag("is binding"))
        case 2:
            let round = try reader.readInteger("round", as: UInt64.self)
            self = .told(round: round, try Testimony(from: &reader))
        default: throw .malformed(field: "recovery kind")
        }
        try reader.finish()
    }
}

extension Testimony {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.write(epoch)
        writer.write(registry)
        for group in [group, successor] {
            writer.write(group != nil)
            group?.write(to: &writer)
        }
        writer.write(counted: boot?.encoded ?? [])
        writer.write(list: blocks) { writer, block in
            writer.write(block.key)
            writer.write(counted: block.owner.encoded)
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(WireError) {
        epoch = try reader.readInteger("epoch")
        registry = try reader.readNodeID("registry")
        group = try reader.readFlag("has group") ? try StewardSet(from: &reader) : nil
        successor = try reader.readFlag("has successor") ? try StewardSet(from: &reader) : nil
        let boot = Array(try reader.readCounted("boot record", max: 64))
        self.boot = boot.isEmpty ? nil : try BootRecord(encoded: boot)
        blocks = try reader.readList("blocks", max: Self.blocksMax) {
            reader throws(WireError) in
            let key = try reader.readText("block", max: RegisterValue.keyLengthMax)
            // Nothing else may be slipped into the registers by it.
            guard key.hasPrefix("ipam/") || key.hasPrefix("ipam6/") else {
                throw .malformed(field: "block")
            }
            let owner = try BlockOwner(
                encoded: Array(try reader.readCounted("block owner", max: 64))
            )
            return Block(key: key, owner: owner)
        }
    }
}
