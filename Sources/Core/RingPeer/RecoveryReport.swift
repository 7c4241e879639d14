package import Determinism
package import RingPlacement

/// What was found out about the registers when somebody asked whether they are lost.
package struct RecoveryReport: Hashable, Sendable {
    /// One of the stewards.
    package struct Steward: Hashable, Sendable {
        /// How it stands.
        package enum State: Hashable, Sendable {
            /// It answers and has its registers.
            case present
            /// It answers and has them no longer: another disk, or an older one.
            case forgot
            /// It does not answer; for how long is known where it was heard before.
            case silent(for: Span?)
        }

        /// The node.
        package let node: NodeID
        /// The database that it should have.
        package let storage: NodeID
        /// How it stands.
        package let state: State
    }

    /// The registry that was asked for.
    package let registry: Registry
    /// The epoch of the configuration in force here.
    package let epoch: UInt64
    /// The stewards of the youngest group that is known.
    package let stewards: [Steward]
    /// How many of them have to agree.
    package let quorum: Int
    /// Whether the registers answered, so that nothing is lost.
    package let isServing: Bool
    /// The members that told what they have.
    package let told: [NodeID]
    /// The members that did not: blocks of theirs may be unknown to everybody else.
    package let untold: [NodeID]
    /// The blocks that were told of.
    package let blocks: Int

    /// The stewards that have to be given up, as the one who gives them up names them.
    package var lost: [NodeID] {
        stewards.filter { $0.state != .present }.map(\.node)
    }
}

/// Why registers were not founded anew; nothing of the ring has changed then.
package enum RecoveryRefusal: Error, Hashable, Sendable {
    /// Another request of the kind is under way at this node.
    case busy
    /// The registers answer.
    case notNeeded
    /// Another node knows of a younger configuration, or of another registry.
    case behind(NodeID)
    /// The stewards that were named are not those that are lost.
    case otherStewards(lost: [NodeID])
    /// This node has no place in the configuration.
    case notMember
    /// A steward that was there did not finish telling what it has; again is safe.
    case interrupted(silent: [NodeID])
    /// No number is left for another registry.
    case exhausted
}

/// How a question about lost registers ended.
package enum RecoveryOutcome: Hashable, Sendable {
    /// Nothing was to be changed, and this is how it stands.
    case report(RecoveryReport)
    /// Nothing was changed, and why.
    case refused(RecoveryRefusal, RecoveryReport?)
    /// The registers are founded anew, durably.
    case recovered(RingConfiguration, RecoveryReport)
}
