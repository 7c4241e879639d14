import Addressing
package import Determinism
package import RingIPAM
package import RingMembership
package import RingPlacement
package import RingRecords
import RingRegisters
package import Wire

/// A whole ring peer as one value: membership, placement, registers, records and addresses.
///
/// It performs nothing: entry points are told the time and append to ``effects``, which the service
/// drains and carries out in order; ``deadline`` says when to call ``tick(now:)`` next. What
/// depends on a write sits inside that write's `then`. A frame to this very node comes back to
/// ``receive(frame:from:now:)`` by the service's hand, so one path serves both.
package struct Peer: Sendable {
    /// Who this peer is.
    package let identity: PeerIdentity
    /// The ring configuration in force here.
    package internal(set) var configuration: RingConfiguration
    /// Who owns which slot under ``configuration``.
    package internal(set) var placement: Placement
    /// Who is reachable.
    package internal(set) var membership: Membership
    /// The replicated records.
    package internal(set) var records: Records
    /// The addresses of this node.
    package internal(set) var pool: AddressPool
    /// What the service has to carry out, oldest first.
    package var effects: [PeerEffect] = []

    var acceptor: Acceptor
    var proposer: Proposer
    var generator: SeededGenerator
    var callers = SortedMap<UInt64, RequestToken>()
    /// Commands of other proposers that are carried out here, by this peer's number.
    var helped = SortedMap<UInt64, HelpedPeer>()
    var recordCallers = SortedMap<UInt64, RequestToken>()
    /// Of rounds and requests; drawn at the start, so that an answer to an earlier process of this
    /// node finds none.
    var nextNumber: UInt64
    var configurationJob: ConfigurationJob
    var stewardJob: StewardJob
    /// When this process began to watch the others.
    let startedAt: Instant
    var vouching: Vouching?
    /// Whether the others vouched in this life of the process, before there was a group to serve.
    var isVouchedForWithoutGroup = false
    var following: RegisterFollowing
    var followingReads = SortedMap<UInt64, String>()
    var followers = RegisterFollowers()
    let parameters: PeerParameters
    var allocator: AllocatorState
    var nextContactAt: Instant
    var heardEpochs = SortedMap<NodeID, HeardEpoch>()
    var nextKeyContactAt: Instant
    var recoveryJob: RecoveryJob?
    /// Peers of another registry are told of this one's no earlier than this.
    var nextRegistryTellAt: Instant
    /// When the next fork may be told of.
    var nextForkToldAt: Instant
    /// What changed in the configuration of late.
    var history = ConfigurationHistory()
    /// Where the look for missing members goes on.
    var nextMissing = 0

    /// Makes a peer out of the configuration it has or was welcomed with, and of its durable rows.
    ///
    /// The rows may be of any spaces but the configuration's.
    /// - Throws: where a row cannot be read; the file is then damaged in a way that checksums of
    ///   the database did not show.
    package init(
        identity: PeerIdentity,
        configuration: RingConfiguration,
        rows: [PeerRow],
        parameters: PeerParameters = PeerParameters(),
        seed: UInt64,
        now: Instant
    ) throws(WireError) {
        self.identity = identity
        let picture = parameters.picture(configuration)
        self.configuration = picture.configuration
        placement = picture.placement
        generator = SeededGenerator(seed: seed)
        nextNumber = generator.next() >> 1
        membership = Membership(
            own: Self.fact(of: identity),
            ring: configuration.ringID.bits,
            parameters: parameters.membership,
            seed: generator.next(),
            now: now
        )
        membership.epoch = configuration.epoch
        records = Records(
            own: identity.node,
            boot: identity.boot,
            stored: try Self.decode(rows, .records) { bytes throws(WireError) in
                var reader = ByteReader(bytes)
                return try OriginSet(from: &reader)
            },
            fences: try Self.decode(rows, .retirements, Self.retirement),
            arrivals: try Self.decode(rows, .arrivals, PendingArrival.all(encoded:)).flatMap(
                \.self
            ),
            view: picture.view,
            parameters: parameters.records,
            seed: generator.next(),
            now: now
        )
        let assignments = try Self.decode(Self.assigned(rows), .assignments, Self.assignment)
        try AddressPool.checkDistinct(assignments)
        pool = AddressPool(
            blocks: try Self.decode(rows, .blocks, AddressPool.Block.init(encoded:)),
            assignments: assignments,
            resting: try Self.decode(Self.resting(rows), .assignments, Self.assignment),
            rest: parameters.ipam.flaws.contains(.quarantineSkipped) ? .zero : parameters.ipam.rest,
            now: now
        )
        allocator = try AllocatorState(
            rows: rows.filter { $0.space == .allocator },
            boot: identity.boot,
            token: generator.next(),
            parameters: parameters.ipam,
            now: now
        )
        acceptor = try Self.makeAcceptor(identity, configuration, rows, parameters)
        proposer = Self.makeProposer(
            identity,
            configuration,
            acceptor,
            parameters,
            seed: generator.next()
        )
        following = RegisterFollowing(group: proposer.group, seed: ~seed)
        configurationJob = ConfigurationJob(nextAt: now)
        stewardJob = StewardJob(nextAt: now.advanced(by: StewardJob.interval))
        self.parameters = parameters
        startedAt = now
        nextContactAt = now
        nextKeyContactAt = now
        nextRegistryTellAt = now
        nextForkToldAt = now
        beginVouching(now: now)
    }

    private static func fact(of identity: PeerIdentity) -> MemberFact {
        MemberFact(
            id: identity.node,
            boot: identity.boot,
            name: identity.name,
            zone: identity.zone,
            metadata: identity.metadata,
            address: identity.address,
            versions: identity.versions
        )
    }

    private static func decode<Value>(
        _ rows: [PeerRow],
        _ space: PeerRow.Space,
        _ read: ([UInt8]) throws(WireError) -> Value
    ) throws(WireError) -> [Value] {
        var values: [Value] = []
        for row in rows where row.space == space { values.append(try read(row.value ?? [])) }
        return values
    }

    private static func assigned(_ rows: [PeerRow]) -> [PeerRow] {
        rows.filter { $0.space == .assignments && $0.value?.first == 1 }
    }

    private static func resting(_ rows: [PeerRow]) -> [PeerRow] {
        rows.filter { $0.space == .assignments && $0.value?.first != 1 }
    }

    private static func assignment(
        _ bytes: [UInt8]
    ) throws(WireError) -> AddressPool.Assignment {
        try AddressPool.Assignment(encoded: Array(bytes.dropFirst()))
    }

    private static func retirement(
        _ bytes: [UInt8]
    ) throws(WireError) -> (node: NodeID, boot: UInt64) {
        var reader = ByteReader(bytes)
        let node = try reader.readNodeID("retired node")
        return (node, try reader.readInteger("retired boot"))
    }

    /// The configuration of a new ring whose only member and steward is this peer.
    package static func founding(
        _ identity: PeerIdentity,
        ring: RingID,
        slotCount: Int = RingConfiguration.slotCountDefault
    ) -> RingConfiguration {
        RingConfiguration(
            ringID: ring,
            epoch: 1,
            slotCount: slotCount,
            members: [identity.ringMember],
            stewards: StewardSet(
                epoch: 1,
                members: [Steward(node: identity.node, storage: identity.storage)]
            )
        )
    }

    /// When ``tick(now:)`` wants to be called next.
    package var deadline: Instant {
        var earliest = min(membership.deadline, records.deadline)
        earliest = min(earliest, nextContactAt, allocator.deadline)
        if let deadline = recoveryDeadline { earliest = min(earliest, deadline) }
        if let deadline = stewardDeadline { earliest = min(earliest, deadline) }
        if let vouching { earliest = min(earliest, vouching.nextAskAt) }
        if let deadline = following.deadline { earliest = min(earliest, deadline) }
        if let deadline = proposer.nextDeadline { earliest = min(earliest, deadline) }
        if !configurationJob.isUnderWay { earliest = min(earliest, configurationJob.nextAt) }
        return earliest
    }

    /// Does what is due.
    package mutating func tick(now: Instant) {
        membership.tick(now: now)
        if now >= records.deadline { records.tick(now: now) }
        tickProposer(now: now)
        tickFollowing(now: now)
        tickConfigurationJob(now: now)
        tickStewardJob(now: now)
        tickRecovery(now: now)
        tickVouching(now: now)
        tickAllocator(now: now)
        if now >= nextContactAt {
            nextContactAt = now.advanced(by: .seconds(2))
            history.dropOld(now: now)
            contactMissingMembers()
            contactGoneMembers()
        }
        collect(now: now)
    }

    /// Says good-bye; the service sends what is left in ``effects`` and stops.
    package mutating func leave(now: Instant) {
        proposer.sendTrail()
        carryProposer(now: now)
        membership.leave(now: now)
        collect(now: now)
    }

    mutating func makeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    func address(of node: NodeID) -> SocketAddress? {
        if node == identity.node { return identity.address }
        return membership.member(node)?.fact.address ?? configuration.member(node)?.address
    }

    mutating func send(_ frame: PeerFrame, to node: NodeID) {
        guard let effect = frameEffect(frame, to: node) else { return }
        effects.append(effect)
    }

    func frameEffect(_ frame: PeerFrame, to node: NodeID) -> PeerEffect? {
        address(of: node).map { .frame(frame.encoded, to: node, at: $0) }
    }
}

extension PeerIdentity {
    /// This peer as an entry of the ring configuration.
    var ringMember: RingMember {
        RingMember(id: node, name: name, zone: zone, weight: weight, address: address)
    }
}
