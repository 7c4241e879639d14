import Determinism
import RingMembership
import RingPlacement
import RingRegisters

/// Keeps the group of stewards as it should be: one of them looks, has a successor chosen in a
/// register, and leads the registers over.
///
/// Who leads does not matter for safety: the successor of each group is chosen once, and everybody
/// who finds a change unfinished may finish it.
struct StewardJob: Sendable {
    enum Step: Sendable {
        case idle
        /// The register of the successor is being read.
        case reading(number: UInt64)
        /// Nodes are asked for the identity of their databases.
        case identifying(Identification)
        /// The successor is being chosen.
        case choosing(number: UInt64)
        /// The registers are being led over.
        case changing(StewardChange, until: Instant)
    }

    /// What nodes say of their databases, before a group is chosen or led to.
    struct Identification: Sendable {
        enum Purpose: Sendable {
            /// A successor is to be chosen over this version of the register.
            case choosing(version: UInt64)
            /// This group was chosen.
            case leading(to: StewardSet)
        }

        let purpose: Purpose
        let nodes: [NodeID]
        let round: UInt64
        var storages = SortedMap<NodeID, NodeID>()
        var until: Instant

        /// Nodes of the group that was chosen that are there with their disks.
        func presentCount(of group: StewardSet) -> Int {
            group.members.count { storages[$0.node] == $0.storage }
        }

        /// Whether nothing more is to be waited for.
        var isComplete: Bool {
            switch purpose {
            case .choosing: storages.count == nodes.count
            case .leading(let group): presentCount(of: group) >= group.quorum
            }
        }
    }

    var step = Step.idle
    var nextAt: Instant
    /// Nodes that did not say which storage they are, and until when they are passed over.
    var silent = SortedMap<NodeID, Instant>()
    /// When the register was last read.
    var readAt: Instant?
    /// When the stewards were last asked whether all of them serve.
    var checkedAt: Instant?
    /// Since when this peer's acceptor has been sealed.
    var sealedAt: Instant?
    /// Since when it has been sealed for a registry that nobody told of.
    var strandedAt: Instant?
    /// The youngest group that was seen in force.
    var activeEpoch: UInt64 = 0
    /// The youngest group of which every steward was seen to serve.
    var completeEpoch: UInt64 = 0

    init(nextAt: Instant) {
        self.nextAt = nextAt
    }

    /// The register that holds the successor of the group it is kept by.
    static let key = "ring/stewards"
    static let interval = Span.seconds(1)
    static let identifyPatience = Span.seconds(1)
    static let changePatience = Span.seconds(20)
    /// A sealed acceptor lets whoever leads finish for this long.
    static let finishPatience = Span.seconds(2)
    /// A recovery that sealed an acceptor has long come to its end after this.
    static let strandedPatience = Span.seconds(60)
    /// Stewards that missed the hand-over are looked for this often.
    static let checkInterval = Span.seconds(10)

    var deadline: Instant {
        switch step {
        case .idle: nextAt
        case .reading, .choosing: nextAt.advanced(by: .seconds(60))
        case .identifying(let asked): asked.until
        case .changing(let change, let until): min(change.deadline ?? until, until)
        }
    }
}
