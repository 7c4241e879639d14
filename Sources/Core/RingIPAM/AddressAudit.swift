package import Addressing
package import Determinism

/// Holds what registers say of a subnet against what nodes tell of it and what this node keeps.
package struct AddressAudit: Sendable {
    /// An endpoint as its node tells the ring of it.
    package struct Told: Hashable, Sendable {
        /// The address.
        package let address: IPAddress
        /// The node that tells.
        package let node: NodeID
        /// The fence it tells.
        package let fence: UInt64
        /// Who has the address.
        package let holder: AddressHolder

        /// Makes one.
        package init(address: IPAddress, node: NodeID, fence: UInt64, holder: AddressHolder) {
            self.address = address
            self.node = node
            self.fence = fence
            self.holder = holder
        }
    }

    /// What is wrong.
    package enum Kind: String, CaseIterable, Sendable {
        /// Taken, and used by nobody: an address without a pod, a block its owner does not know.
        case leaked
        /// Held twice.
        case duplicate
        /// Used by a node that does not own its block.
        case foreign
        /// Told of by, or owned by, a node that is no member of the ring.
        case orphaned
    }

    /// One thing that is wrong.
    package struct Finding: Hashable, Sendable {
        /// What.
        package let kind: Kind
        /// The address or block.
        package let subject: String
        /// The node that it concerns.
        package let node: NodeID?
        /// What was seen, and the way out, for people.
        package let detail: String
    }

    /// The subnet.
    package let plan: BlockPlan
    /// The blocks whose registers were ever written.
    package var owners = SortedMap<Prefix, BlockOwner>()
    /// All endpoints that the ring tells of.
    package var told: [Told] = []
    /// The members of the ring.
    package var members = SortedSet<NodeID>()
    /// Nodes whose blocks stewards are taking.
    package var retired = SortedSet<NodeID>()
    /// This node.
    package let own: NodeID
    /// The blocks that this node keeps rows of.
    package var blocks: [AddressPool.Block] = []
    /// The addresses that this node gave out.
    package var held: [AddressPool.Assignment] = []
    /// The interfaces that this node set up or is setting up.
    package var attached = SortedSet<AddressHolder>()

    /// Makes an audit to which nothing is known yet.
    package init(plan: BlockPlan, own: NodeID) {
        self.plan = plan
        self.own = own
    }

    /// Everything that is wrong.
    package var findings: [Finding] {
        duplicates + told.compactMap(judge) + owners.compactMap { judge($0.key, $0.value) }
            + blocks.compactMap(judge) + held.compactMap(judge)
    }

    private var duplicates: [Finding] {
        let byAddress = told.reduce(into: SortedMap<IPAddress, [Told]>()) {
            $0[$1.address, default: []].append($1)
        }
        return byAddress.filter { $0.value.count > 1 }.map { address, all in
            let holders = all.map { "container \($0.holder.containerID) (fence \($0.fence))" }
            return Finding(
                kind: .duplicate,
                subject: "\(address)",
                node: all.last?.node,
                detail: "held by \(holders.joined(separator: " and ")): delete the pod with the "
                    + "lower fence"
            )
        }
    }

    private func judge(_ told: Told) -> Finding? {
        guard members.contains(told.node) else {
            return Finding(
                kind: .orphaned,
                subject: "\(told.address)",
                node: told.node,
                detail: "told of by a node that is no member: no node sends to it any more"
            )
        }
        guard let block = plan.block(containing: told.address) else {
            return Finding(
                kind: .foreign,
                subject: "\(told.address)",
                node: told.node,
                detail: "lies outside of \(plan.subnet): delete the pod"
            )
        }
        let owner = owners[block]
        guard owner?.node == told.node, owner?.fence == told.fence else {
            let fence = owner.map { "fence \($0.fence)" } ?? "never claimed"
            return Finding(
                kind: .foreign,
                subject: "\(told.address)",
                node: told.node,
                detail: "told with fence \(told.fence), and its block \(block) is "
                    + "\(owner?.node == nil ? "nobody's" : "another owner's") (\(fence)): delete the "
                    + "pod and have it made anew"
            )
        }
        guard told.node == own, !held.contains(where: { $0.address == told.address }) else {
            return nil
        }
        return Finding(
            kind: .foreign,
            subject: "\(told.address)",
            node: own,
            detail: "told of by this node, which did not give it out: delete the pod"
        )
    }

    private func judge(_ block: Prefix, _ owner: BlockOwner) -> Finding? {
        guard let node = owner.node else { return nil }
        if !members.contains(node), !retired.contains(node) {
            return Finding(
                kind: .orphaned,
                subject: "\(block)",
                node: node,
                detail: "owned by a node that is no member: 'genie-ring node remove \(node)' frees "
                    + "it"
            )
        }
        guard node == own, !blocks.contains(where: { $0.prefix == block }) else { return nil }
        return Finding(
            kind: .leaked,
            subject: "\(block)",
            node: own,
            detail:
                "owned by this node, which does not know it: it is taken over or given back when "
                + "the subnet runs short"
        )
    }

    private func judge(_ block: AddressPool.Block) -> Finding? {
        let owner = owners[block.prefix]
        guard owner?.node != own || owner?.fence != block.fence else { return nil }
        return Finding(
            kind: .foreign,
            subject: "\(block.prefix)",
            node: own,
            detail: "this node keeps it with fence \(block.fence), and its register says "
                + (owner.map { "fence \($0.fence)" } ?? "nothing")
                + ": delete the pods in it, then it is forgotten"
        )
    }

    private func judge(_ assignment: AddressPool.Assignment) -> Finding? {
        guard !attached.contains(assignment.holder) else { return nil }
        return Finding(
            kind: .leaked,
            subject: "\(assignment.address)",
            node: own,
            detail: "given to container \(assignment.holder.containerID), of which nothing is "
                + "recorded: it is freed when genied starts anew"
        )
    }
}
