package import Determinism
package import RingRegisters
import Wire

/// The registers of a ring, from one foundation to the next.
///
/// A ring begins with one registry. When a majority of its stewards is lost for good, somebody with
/// authority founds another out of what is left; the ring and its members stay what they are. Two
/// registries never mix: messages about registers name theirs, and a configuration is followed into
/// another registry only where that one says that it came after.
package struct Registry: Hashable, Sendable {
    /// The identity: the ring's own for the first, drawn for every later one.
    package let id: NodeID
    /// The registries before it, oldest first; none for the first.
    package let predecessors: [NodeID]

    /// The most predecessors: a ring whose stewards are lost so often has other troubles.
    package static let predecessorsMax = 64

    /// Names a registry.
    package init(id: NodeID, predecessors: [NodeID]) {
        self.id = id
        self.predecessors = predecessors
    }

    /// The registry that a ring begins with.
    package static func first(of ring: RingID) -> Registry {
        Registry(id: ring.bits, predecessors: [])
    }

    /// How often the registers were founded anew.
    package var recoveries: Int { predecessors.count }

    /// Whether this registry came after the other one.
    package func follows(_ other: Registry) -> Bool { predecessors.contains(other.id) }

    /// Whether no identity is named twice and there are not too many.
    var isConsistent: Bool {
        let all = (predecessors + [id]).sorted()
        return predecessors.count <= Self.predecessorsMax
            && zip(all, all.dropFirst()).allSatisfy { $0 < $1 }
    }

    /// The bytes: identity 16, count 4, each predecessor 16.
    var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.write(id)
        writer.write(list: predecessors) { $0.write($1) }
        return writer.bytes
    }

    /// Reads a registry as ``encoded`` leaves it; a first one is never written.
    init(encoded bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        id = try reader.readNodeID("registry")
        predecessors = try reader.readList("registries before", max: Self.predecessorsMax) {
            reader throws(WireError) in
            try reader.readNodeID("registry before")
        }
        try reader.finish()
        guard !predecessors.isEmpty, isConsistent else { throw .malformed(field: "registry") }
    }
}

extension RingConfiguration {
    /// Whether this configuration may take the other's place: it is younger, and of the same
    /// registry or of one that came after.
    package func supersedes(_ other: RingConfiguration) -> Bool {
        ringID == other.ringID && epoch > other.epoch
            && (registry == other.registry || registry.follows(other.registry))
    }

    /// Whether neither registry came after the other: the ring was recovered twice.
    package func isForked(from other: RingConfiguration) -> Bool {
        ringID == other.ringID && registry.id != other.registry.id
            && !registry.follows(other.registry) && !other.registry.follows(registry)
    }

    /// The configuration in which `founder` begins a new registry by itself.
    ///
    /// Its epochs are later than any that the lost stewards may still have decided, as long as
    /// those did not decide a thousand million more than were seen here: `epoch` is the largest.
    package func recovered(
        registry id: NodeID,
        founder: Steward,
        afterEpoch epoch: UInt64,
        afterStewardEpoch stewardEpoch: UInt64
    ) -> Change {
        guard member(founder.node) != nil else { return .refused(.notMember(founder.node)) }
        guard registry.predecessors.count < Registry.predecessorsMax,
            let next = RegistryEra.begin(after: max(epoch, self.epoch)),
            let group = RegistryEra.begin(after: max(stewardEpoch, stewards.epoch))
        else { return .refused(.epochsExhausted) }
        let registry = Registry(id: id, predecessors: registry.predecessors + [registry.id])
        return .changed(
            RingConfiguration(
                ringID: ringID,
                epoch: next,
                slotCount: slotCount,
                replicationFactor: replicationFactor,
                members: members,
                stewards: StewardSet(epoch: group, members: [founder]),
                gossipKeys: gossipKeys,
                registry: registry,
                leaving: leaving.filter { $0 != founder.node },
                unknownFields: unknownFields
            )
        )
    }

    /// The configuration in which a member is on its way out: another takes its place among the
    /// stewards, and it is never chosen for one.
    package func marking(leaving node: NodeID) -> Change {
        guard member(node) != nil else { return .refused(.notMember(node)) }
        guard !leaving.contains(node) else { return .unchanged }
        return next(leaving: leaving + [node])
    }
}
