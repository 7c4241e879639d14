package import Determinism
import RingIPAM
import RingMembership
package import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// The peer keeps itself in the agreed configuration.
///
/// Stewards read the register now and then, and change it by compare-and-swap where their own
/// entry, those of nodes that asked, or the group of stewards is missing or differs. Everybody else
/// learns of a newer configuration from the epochs in datagrams, pulls it from whoever has it, and
/// asks a steward where its own entry is not in it; so the register costs the same in any ring.
///
/// Membership has no part in this: a node that is unreachable keeps its place until somebody with
/// authority takes it away.
struct ConfigurationJob: Sendable {
    enum Step: Sendable {
        case idle
        case reading(number: UInt64)
        case checking(Check)
        case writing(number: UInt64, RingConfiguration)
    }

    /// What is to be written once it is known which of those that asked were not removed.
    struct Check: Sendable {
        let agreed: RingConfiguration
        let version: UInt64
        let asking: [RingMember]
        /// Whose boot register is read under which number.
        var waiting: SortedMap<UInt64, RingMember>
        var admitted: [RingMember] = []
    }

    var step = Step.idle
    var nextAt: Instant
    /// Nodes that asked this peer for an entry.
    var admissions = SortedMap<NodeID, Admission>()
    /// When this peer last changed the register.
    var writtenAt: Instant?
    /// How often this peer asked for its own entry since it last had one.
    var attempts = 0
    /// Until when no other peer is asked for a configuration of this epoch.
    var pull: (epoch: UInt64, until: Instant)?

    init(nextAt: Instant) {
        self.nextAt = nextAt
    }

    var isUnderWay: Bool {
        if case .idle = step { false } else { true }
    }

    static let key = Peer.configurationKey
    static let retryInterval = Span.milliseconds(200)
    static let checkInterval = Span.seconds(10)
    /// So many of those that ask are looked at together.
    static let checksMax = 256
    /// A configuration that was asked for is waited for so long.
    static let pullPatience = Span.milliseconds(500)
}

extension Peer {
    /// The register that holds the configuration.
    package static let configurationKey = "ring/config"

    /// Puts a configuration into force that its register was seen to hold.
    package mutating func adopt(agreed: RingConfiguration, now: Instant) {
        adopt(agreed, now: now)
        collect(now: now)
    }

    mutating func tickConfigurationJob(now: Instant) {
        guard !configurationJob.isUnderWay, now >= configurationJob.nextAt else { return }
        if !keepsConfiguration {
            configurationJob.nextAt = now.advanced(by: ConfigurationJob.checkInterval)
            if isSettled || askAdmission(now: now) { return }
        }
        let number = makeNumber()
        configurationJob.step = .reading(number: number)
        start(.read(key: ConfigurationJob.key), number: number, now: now)
    }

    /// Whether an outcome was the job's own; if so it was acted upon.
    mutating func takeForConfigurationJob(
        _ number: UInt64,
        _ outcome: RegisterOutcome,
        now: Instant
    ) -> Bool {
        switch configurationJob.step {
        case .reading(number):
            configurationJob.step = .idle
            configurationJob.nextAt = now.advanced(by: pause())
            if case .value(let value) = outcome { considerConfiguration(value, now: now) }
            tellRefusal(outcome)
            return true
        case .checking(var check):
            guard let member = check.waiting.remove(number) else { return false }
            if case .value(let value) = outcome, !isRemoved(value) {
                check.admitted.append(member)
            }
            configurationJob.step = .checking(check)
            if check.waiting.isEmpty { settle(check, now: now) }
            return true
        case .writing(number, let wanted):
            configurationJob.step = .idle
            configurationJob.nextAt = now.advanced(by: pause())
            if case .committed = outcome {
                configurationJob.nextAt = now.advanced(by: ConfigurationJob.checkInterval)
                configurationJob.writtenAt = now
                adopt(wanted, now: now)
            }
            tellRefusal(outcome)
            bringForward(now: now)
            return true
        case .idle, .reading, .writing:
            return false
        }
    }

    private mutating func tellRefusal(_ outcome: RegisterOutcome) {
        guard case .refused(let reason) = outcome else { return }
        configurationJob.nextAt = configurationJob.nextAt.advanced(
            by: ConfigurationJob.checkInterval
        )
        effects.append(
            .event(.refusedFrame(from: identity.node, reason: "register ring/config: \(reason)"))
        )
    }

    /// Drawn, so that peers that start together do not collide again and again.
    private mutating func pause() -> Span {
        let most = 2 * ConfigurationJob.retryInterval.milliseconds
        return .milliseconds(Int64.random(in: 20...most, using: &generator))
    }

    private mutating func considerConfiguration(_ value: RegisterValue, now: Instant) {
        guard let content = value.payload else { return foundRing(value, now: now) }
        guard let agreed = try? RingConfiguration(encoded: content[...]),
            agreed.ringID == configuration.ringID, !agreed.isForked(from: configuration)
        else {
            effects.append(.event(.registerUnreadable(ConfigurationJob.key)))
            return
        }
        adopt(agreed, now: now)
        // This node may be one that was removed, and not know it yet.
        let own = agreed.member(identity.node) == nil ? [identity.ringMember] : []
        let asking = own + admissible(now: now).prefix(ConfigurationJob.checksMax)
        check(asking, for: agreed, version: value.version, now: now)
    }

    /// Reads the boot registers of those that asked to come in.
    ///
    /// One that was removed since stays out until it has begun another era. A removal marks the
    /// boot register first and writes the configuration last, in any case; so one that is not seen
    /// here makes the write that follows fail.
    private mutating func check(
        _ asking: [RingMember],
        for agreed: RingConfiguration,
        version: UInt64,
        now: Instant
    ) {
        var check = ConfigurationJob.Check(
            agreed: agreed,
            version: version,
            asking: asking,
            waiting: SortedMap()
        )
        for member in asking { check.waiting[makeNumber()] = member }
        guard !check.waiting.isEmpty else { return settle(check, now: now) }
        configurationJob.step = .checking(check)
        for (number, member) in check.waiting {
            start(.read(key: BootRecord.registerKey(member.id)), number: number, now: now)
        }
    }

    private func isRemoved(_ boot: RegisterValue) -> Bool {
        guard let payload = boot.payload else { return false }
        // What cannot be read was written by a later release, and may say so.
        return (try? BootRecord(encoded: payload))?.isRemoved ?? true
    }

    /// Writes what this peer would have in the configuration: its own entry as it is, those of
    /// nodes that asked, and the stewards that are in force; all in one epoch.
    private mutating func settle(_ check: ConfigurationJob.Check, now: Instant) {
        configurationJob.step = .idle
        // Who may not come in yet asks again.
        for member in check.asking where !check.admitted.contains(member) {
            configurationJob.admissions[member.id] = nil
        }
        let isMember = check.agreed.member(identity.node) != nil
        let members = (isMember ? [identity.ringMember] : []) + check.admitted
        guard
            case .changed(let wanted) = check.agreed.settling(members, stewards: proposer.group)
        else {
            configurationJob.nextAt = now.advanced(by: ConfigurationJob.checkInterval)
            return bringForward(now: now)
        }
        write(wanted, over: check.version, now: now)
    }

    /// The register was never written: the founder writes what it started with.
    private mutating func foundRing(_ value: RegisterValue, now: Instant) {
        guard value.version == 0, configuration.epoch == 1,
            configuration.stewards.steward(on: identity.node) != nil
        else { return }
        write(configuration, over: 0, now: now)
    }

    private mutating func write(
        _ wanted: RingConfiguration,
        over version: UInt64,
        now: Instant
    ) {
        let number = makeNumber()
        configurationJob.step = .writing(number: number, wanted)
        let request = RegisterRequest.compareAndSet(
            key: ConfigurationJob.key,
            expectedVersion: version,
            content: wanted.encoded
        )
        start(request, number: number, now: now)
    }

    /// Puts a newer configuration into force.
    mutating func adopt(_ newer: RingConfiguration, now: Instant) {
        guard newer.supersedes(configuration) else { return }
        let isOtherRegistry = newer.registry != configuration.registry
        let picture = parameters.picture(newer)
        history.add(
            ConfigurationDelta(
                from: configuration,
                to: picture.configuration,
                digest: picture.digest
            ),
            memberCount: newer.members.count,
            now: now
        )
        configuration = picture.configuration
        placement = picture.placement
        membership.epoch = newer.epoch
        records.adopt(picture.view, now: now)
        proposer.adopt(newer.stewards, now: now)
        carryProposer(now: now)
        if isOtherRegistry { enterRegistry(now: now) }
        beginVouching(now: now)
        if isSettled {
            configurationJob.attempts = 0
        } else {
            configurationJob.nextAt = min(configurationJob.nextAt, now.advanced(by: pause()))
            // This node may be the one that was taken out: its boot register tells. Others do not
            // look, or each epoch would have all nodes ask the stewards.
            allocator.boot.nextAt = min(allocator.boot.nextAt, now)
            allocator.nextUpkeepAt = min(allocator.nextUpkeepAt, now)
        }
        let row = PeerRow(space: .configuration, key: [], value: picture.encoded)
        effects.append(.persist([row, arrivalsRow], then: [.event(.configuration(configuration))]))
    }

    /// The slots whose hand-over to this node is not done.
    var arrivalsRow: PeerRow {
        let arrivals = records.pendingArrivals
        let value = arrivals.isEmpty ? nil : PendingArrival.encoded(arrivals)
        return PeerRow(space: .arrivals, key: [], value: value)
    }

    /// Takes in what changed; where it does not fit, the whole is asked for.
    mutating func take(_ delta: ConfigurationDelta, from peer: NodeID, now: Instant) {
        guard delta.ringID == configuration.ringID else { return }
        noteEpoch(delta.toEpoch, of: peer)
        guard delta.toEpoch > configuration.epoch else { return }
        if let newer = delta.applied(to: configuration) {
            adopt(newer, now: now)
        } else {
            send(.configurationRequest(epoch: 0), to: peer)
        }
    }

    /// Asks a peer that has a newer configuration for it, unless one so new is under way already:
    /// each datagram of a peer that is ahead would ask again.
    mutating func pullConfiguration(_ epoch: UInt64, from peer: NodeID, now: Instant) {
        if let pull = configurationJob.pull, pull.epoch >= epoch, now < pull.until { return }
        configurationJob.pull = (epoch, now.advanced(by: ConfigurationJob.pullPatience))
        send(.configurationRequest(epoch: configuration.epoch), to: peer)
    }

    /// Answers a peer that is behind: with what changed, where that is known.
    mutating func tellConfiguration(to peer: NodeID, behind epoch: UInt64) {
        if let delta = history.delta(since: epoch) {
            send(.configurationChange(delta), to: peer)
        } else {
            send(.configuration(configuration), to: peer)
        }
    }
}
