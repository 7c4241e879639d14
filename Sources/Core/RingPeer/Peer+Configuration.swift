package import Determinism
import RingMembership
package import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// The peer keeps itself in the agreed configuration: it reads the register, and where its own
/// entry is missing or differs, changes it by compare-and-swap.
///
/// Membership has no part in this: a node that is unreachable keeps its place until somebody with
/// authority takes it away.
struct ConfigurationJob: Sendable {
    enum Step: Sendable {
        case idle
        case reading(number: UInt64)
        case writing(number: UInt64, RingConfiguration)
    }

    var step = Step.idle
    var nextAt: Instant

    init(nextAt: Instant) {
        self.nextAt = nextAt
    }

    var isUnderWay: Bool {
        if case .idle = step { false } else { true }
    }

    static let key = Peer.configurationKey
    static let retryInterval = Span.milliseconds(200)
    static let checkInterval = Span.seconds(10)
}

extension Peer {
    /// The register that holds the configuration.
    package static let configurationKey = "ring/config"

    /// Puts a configuration into force that its register was seen to hold.
    package mutating func adopt(agreed: RingConfiguration, now: Instant) {
        guard agreed.ringID == configuration.ringID else { return }
        adopt(agreed, now: now)
        collect(now: now)
    }

    mutating func tickConfigurationJob(now: Instant) {
        guard !configurationJob.isUnderWay, now >= configurationJob.nextAt else { return }
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
        case .writing(number, let wanted):
            configurationJob.step = .idle
            configurationJob.nextAt = now.advanced(by: pause())
            if case .committed = outcome {
                configurationJob.nextAt = now.advanced(by: ConfigurationJob.checkInterval)
                adopt(wanted, now: now)
            }
            tellRefusal(outcome)
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
            agreed.ringID == configuration.ringID
        else {
            effects.append(.event(.registerUnreadable(ConfigurationJob.key)))
            return
        }
        adopt(agreed, now: now)
        guard let wanted = wanted(agreed) else {
            configurationJob.nextAt = now.advanced(by: ConfigurationJob.checkInterval)
            return
        }
        write(wanted, over: value.version, now: now)
    }

    /// What this peer would have in the configuration: its own entry as it is, and the stewards
    /// that are in force.
    private func wanted(_ agreed: RingConfiguration) -> RingConfiguration? {
        let own = identity.ringMember
        let change = agreed.member(own.id) == nil ? agreed.adding(own) : agreed.updating(own)
        if case .changed(let changed) = change { return changed }
        guard proposer.group.epoch > agreed.stewards.epoch,
            case .changed(let changed) = agreed.replacing(stewards: proposer.group)
        else { return nil }
        return changed
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
        guard newer.epoch > configuration.epoch else { return }
        configuration = newer
        placement = Placement(newer)
        membership.epoch = newer.epoch
        records.adopt(Self.view(placement), now: now)
        proposer.adopt(newer.stewards, now: now)
        carryProposer(now: now)
        let row = PeerRow(space: .configuration, key: [], value: newer.encoded)
        effects.append(.persist([row], then: [.event(.configuration(newer))]))
    }
}
