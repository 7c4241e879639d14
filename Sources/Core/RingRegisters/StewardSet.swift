package import Determinism
package import Wire

/// A peer that holds registers, together with the storage it holds them in.
///
/// The storage is the acceptor's identity: a steward whose disk was wiped comes back with another
/// storage and is no longer this steward.
package struct Steward: Hashable, Sendable {
    /// The node to send requests to.
    package let node: NodeID
    /// The identity of the database file that holds the promises.
    package let storage: NodeID

    /// Makes a steward.
    package init(node: NodeID, storage: NodeID) {
        self.node = node
        self.storage = storage
    }
}

/// The small group of peers that holds the registers, and the number of that group.
///
/// Requests name the epoch, and an acceptor of another epoch refuses them, so no majority is ever
/// counted across two groups.
package struct StewardSet: Hashable, Sendable {
    /// Grows by one with each change of the group; at most ``epochMax``.
    package let epoch: UInt64
    /// The stewards, ascending by node; no node and no storage twice.
    package let members: [Steward]

    /// The most stewards: seven survive the loss of three, and more only slow each write.
    package static let countMax = 7

    /// The largest epoch: what a signed 64-bit column can hold.
    package static let epochMax = UInt64(Int64.max)

    /// Makes a group; the order of `members` does not matter.
    package init(epoch: UInt64, members: [Steward]) {
        precondition(members.count <= Self.countMax, "a ring has at most seven stewards")
        precondition(epoch <= Self.epochMax)
        self.epoch = epoch
        self.members = members.sorted { $0.node < $1.node }
        precondition(Self.areDistinct(self.members), "a steward is counted once")
    }

    /// The number of stewards whose agreement decides; 1 for an empty group, which never agrees.
    package var quorum: Int { members.count / 2 + 1 }

    /// The steward on `node`; nil when that node is none.
    package func steward(on node: NodeID) -> Steward? {
        members.first { $0.node == node }
    }

    /// Appends the group: epoch (8 bytes), count (4), then node and storage (16 each).
    package func write(to writer: inout ByteWriter) {
        writer.write(epoch)
        writer.write(list: members) { writer, steward in
            writer.write(steward.node)
            writer.write(steward.storage)
        }
    }

    /// Reads a group as ``write(to:)`` leaves it.
    ///
    /// - Throws: what the reader throws; `.malformed` for unordered or repeated stewards.
    package init(from reader: inout ByteReader) throws(WireError) {
        let epoch: UInt64 = try reader.readInteger("steward epoch")
        let members = try reader.readList("stewards", max: Self.countMax) {
            reader throws(WireError) in
            Steward(
                node: try reader.readNodeID("steward node"),
                storage: try reader.readNodeID("steward storage")
            )
        }
        let isAscending = zip(members, members.dropFirst()).allSatisfy { $0.node < $1.node }
        guard isAscending, Self.areDistinct(members), epoch <= Self.epochMax else {
            throw .malformed(field: "stewards")
        }
        self.init(epoch: epoch, members: members)
    }

    private static func areDistinct(_ members: [Steward]) -> Bool {
        members.indices.allSatisfy { index in
            members[..<index].allSatisfy {
                $0.node != members[index].node && $0.storage != members[index].storage
            }
        }
    }
}
