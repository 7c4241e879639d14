import Determinism
import RingPlacement
import RingRegisters

/// Finding out what is left of the registers, and founding them anew out of it.
struct RecoveryJob: Sendable {
    enum Step: Sendable {
        /// Everybody is asked what there is; a register is read to see whether any answers.
        case surveying
        /// Everybody that answered is asked for good.
        case binding
        /// The stewards that are left are sealed and read.
        case copying(StewardCopy, RingConfiguration)
    }

    let token: RequestToken
    /// The stewards that are given up; nil where somebody only looks.
    let givenUp: [NodeID]?
    var step = Step.surveying
    var round: UInt64
    /// The read of a register, and what it showed.
    let readNumber: UInt64
    var isServing: Bool?
    var told = SortedMap<NodeID, Testimony>()
    /// What was found out before anybody was asked for good.
    var report: RecoveryReport?
    var nextAskAt: Instant
    var until: Instant

    static let askInterval = Span.milliseconds(500)
    /// Longer than a command takes to give up.
    static let surveyPatience = Span.seconds(5)
    static let bindingPatience = Span.seconds(5)
    static let copyPatience = Span.seconds(20)
    /// Who was asked for good waits for the new registry for so long.
    static let claimBar = Span.seconds(300)
    /// Fences skip so many with each recovery, so that no fence is ever given out twice.
    static let fenceSkip: UInt64 = 1_000_000
}
