package import Determinism
import RingMembership
import RingPlacement
package import RingRegisters

/// A steward as this peer sees it.
package struct StewardView: Hashable, Sendable {
    /// The steward.
    package let steward: Steward
    /// Whether its node answers.
    package let isReachable: Bool
    /// For how long it has or has not; nil for this node and for one that was never heard.
    package let since: Span?
}

/// A change of the stewards under way.
package struct StewardChangeView: Hashable, Sendable {
    /// How far it is.
    package enum Step: String, Sendable {
        /// This node is sealed, and somebody else leads.
        case sealed
        /// The registers are being read.
        case copying
        /// The stewards that follow are being handed the copy.
        case installing
        /// A majority of them serves.
        case active
    }

    /// The group that follows.
    package let next: StewardSet
    /// How far it is.
    package let step: Step
}

extension Peer {
    /// The youngest group of stewards that this peer knows to be in force.
    package var stewardsInForce: StewardSet { proposer.group }

    /// The stewards in force, one by one.
    package func stewardViews(now: Instant) -> [StewardView] {
        proposer.group.members.map { steward in
            let member = membership.member(steward.node)
            return StewardView(
                steward: steward,
                isReachable: membership.isReachable(steward.node),
                since: member.map { now.since($0.since) }
            )
        }
    }

    /// The change of the stewards that this peer leads or is sealed for; nil while there is none.
    package var stewardChange: StewardChangeView? {
        if case .changing(let change, _) = stewardJob.step {
            let step: StewardChangeView.Step? =
                switch change.progress {
                case .copying: .copying
                case .installing: .installing
                case .active: .active
                case .complete, .superseded: nil
                }
            // One that is led again to find late stewards changes nothing.
            if let step, change.next.epoch > proposer.group.epoch {
                return StewardChangeView(next: change.next, step: step)
            }
        }
        guard let next = acceptor.successor, next.epoch > proposer.group.epoch else { return nil }
        return StewardChangeView(next: next, step: .sealed)
    }
}
