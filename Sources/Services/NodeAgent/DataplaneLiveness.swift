import Determinism

/// Which nodes' dataplanes answer, apart from whether their peer processes do.
///
/// A node whose process died goes on forwarding, so its endpoints stay in the maps. They are
/// withdrawn only when the process is gone and the node's programs have left several questions in a
/// row unanswered.
struct DataplaneLiveness: Sendable {
    /// What is known of one node's dataplane.
    enum State: String, Sendable {
        /// It answered not long ago.
        case alive
        /// It left ``DataplaneLiveness/unansweredMax`` questions in a row unanswered.
        case dead
        /// It was not asked often enough to tell.
        case unknown
    }

    /// Questions in a row that may be lost before a dataplane counts as dead.
    static let unansweredMax = 4

    private var unanswered = SortedMap<NodeID, Int>()
    private var gone = SortedSet<NodeID>()
    private var replaced = SortedSet<NodeID>()

    /// A question was sent.
    mutating func noteAsked(_ node: NodeID) {
        unanswered[node] = (unanswered[node] ?? 0) + 1
    }

    /// An answer came.
    mutating func noteAnswered(_ node: NodeID) {
        unanswered[node] = 0
    }

    /// Membership's word on who is gone, and at whose address another node answers now.
    mutating func noteGone(_ nodes: SortedSet<NodeID>, replaced: SortedSet<NodeID>) {
        gone = nodes
        self.replaced = replaced
    }

    /// How a node's dataplane fares.
    func state(of node: NodeID) -> State {
        guard let count = unanswered[node] else { return .unknown }
        if count >= Self.unansweredMax { return .dead }
        // One question under way is no news; more before the first answer tell nothing yet.
        return count <= 1 ? .alive : .unknown
    }

    /// Whether a node's endpoints are out of service.
    func isWithdrawn(_ node: NodeID) -> Bool {
        gone.contains(node) && (replaced.contains(node) || state(of: node) == .dead)
    }
}
