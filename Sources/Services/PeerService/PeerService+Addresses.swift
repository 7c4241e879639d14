package import Addressing
package import Determinism
package import RingIPAM
import RingPeer
package import RingPlacement
import RingRegisters

/// How a subnet's addresses stand on this node.
package struct AddressUse: Hashable, Sendable {
    /// The blocks that this node has of it.
    package let blocks: Int
    /// All blocks that it falls into.
    package let blocksOfSubnet: UInt64
    /// Addresses that pods of this node have.
    package let used: Int
    /// Freed addresses that rest.
    package let resting: Int
}

/// What this node's allocator has of one pool.
package struct PoolView: Sendable {
    /// The blocks.
    package let blocks: [AddressPool.Block]
    /// The addresses in use.
    package let held: [AddressPool.Assignment]
    /// Where addresses rest, and for how much longer.
    package let resting: [(pool: UInt64, address: IPAddress, until: Instant)]
}

/// Why a node was not taken out of the ring.
package enum NodeRemovalFailure: Error, Sendable {
    /// This node belongs to no ring yet.
    case notJoined
    /// The registers did not do it.
    case registers(RegisterFailure)
    /// A register holds what this release cannot read.
    case unreadable(String)
    /// Others kept changing the same register.
    case contended(String)
    /// The configuration does not allow it.
    case refused(RingConfiguration.Refusal)
}

extension PeerService {
    private static let removalAttemptsMax = 8
    /// How long the stewards are given to change while somebody waits: 10 s.
    private static let replacementPoll = Duration.milliseconds(200)
    private static let replacementPollsMax = 50

    /// How a plan's addresses stand on this node.
    package func addressUse(_ plan: BlockPlan) -> AddressUse {
        let view = poolView(plan.pool)
        let isV4 = plan.subnet.isV4
        return AddressUse(
            blocks: view.blocks.count { $0.prefix.isV4 == isV4 },
            blocksOfSubnet: plan.countClamped,
            used: view.held.count { $0.address.isV4 == isV4 },
            resting: view.resting.count { $0.address.isV4 == isV4 }
        )
    }

    /// What this node's allocator has of a pool.
    package func poolView(_ pool: UInt64) -> PoolView {
        guard let peer else { return PoolView(blocks: [], held: [], resting: []) }
        return PoolView(
            blocks: peer.pool.blocks.filter { $0.pool == pool },
            held: peer.pool.inUse.filter { $0.pool == pool },
            resting: peer.pool.resting(now: now).filter { $0.pool == pool }
        )
    }

    /// Takes a node out of the ring for good: it gives out nothing more of its blocks, stewards
    /// take them, and the configuration has it no longer.
    ///
    /// Each step may be repeated, so a removal that was interrupted is finished by another.
    package func remove(_ node: NodeID) async throws(NodeRemovalFailure) {
        guard peer != nil else { throw .notJoined }
        let era = try await endEra(of: node)
        try await write(NodeRetirement.registerKey(node)) { payload throws(NodeRemovalFailure) in
            let before = payload.flatMap { try? NodeRetirement(encoded: $0) }
            return NodeRetirement(era: max(era, before?.era ?? 0)).encoded
        }
        // Written also where the node is no member: a steward may be about to let it in that has
        // read its boot register before it was marked. That write then fails.
        try await write(Peer.configurationKey, evenIfSame: true) {
            payload throws(NodeRemovalFailure) in
            guard let payload, let agreed = try? RingConfiguration(encoded: payload[...]) else {
                throw .unreadable(Peer.configurationKey)
            }
            switch agreed.removing(node) {
            case .changed(let changed): return changed.encoded
            case .unchanged: return payload
            case .refused(let refusal): throw .refused(refusal)
            }
        }
        try await adoptAgreed()
    }

    /// Has the stewards change to a group without a node, and waits for it.
    ///
    /// - Returns: false where the node holds registers still. It stays marked, so that the group
    ///   changes once another can come in.
    package func replaceSteward(_ node: NodeID) async throws(NodeRemovalFailure) -> Bool {
        guard let peer else { throw .notJoined }
        guard isSteward(node, peer) else { return true }
        try await write(Peer.configurationKey) { payload throws(NodeRemovalFailure) in
            guard let payload, let agreed = try? RingConfiguration(encoded: payload[...]) else {
                throw .unreadable(Peer.configurationKey)
            }
            switch agreed.marking(leaving: node) {
            case .changed(let changed): return changed.encoded
            case .unchanged: return payload
            case .refused(let refusal): throw .refused(refusal)
            }
        }
        for _ in 0..<Self.replacementPollsMax {
            try await adoptAgreed()
            guard let peer = self.peer, isSteward(node, peer) else { return true }
            try? await Task.sleep(for: Self.replacementPoll)
        }
        return false
    }

    private func isSteward(_ node: NodeID, _ peer: Peer) -> Bool {
        peer.configuration.stewards.steward(on: node) != nil
    }

    private func adoptAgreed() async throws(NodeRemovalFailure) {
        guard let payload = try await held(Peer.configurationKey).payload,
            let agreed = try? RingConfiguration(encoded: payload[...])
        else { return }
        let now = now
        change { $0.adopt(agreed: agreed, now: now) }
    }

    /// Marks a node's boot register; the last era whose blocks are to be taken.
    private func endEra(of node: NodeID) async throws(NodeRemovalFailure) -> UInt64 {
        var era: UInt64 = 1
        try await write(BootRecord.registerKey(node)) { payload throws(NodeRemovalFailure) in
            let held = payload.flatMap { try? BootRecord(encoded: $0) }
            era = held?.era ?? 1
            if let held, held.isRemoved { return held.encoded }
            let removed = BootRecord(boot: held?.boot ?? 0, token: 0, era: era, isRemoved: true)
            return removed.encoded
        }
        return era
    }

    /// Changes a register to what `body` makes of its content.
    private func write(
        _ key: String,
        evenIfSame: Bool = false,
        _ body: ([UInt8]?) throws(NodeRemovalFailure) -> [UInt8]
    ) async throws(NodeRemovalFailure) {
        for _ in 0..<Self.removalAttemptsMax {
            let value = try await held(key)
            let wanted = try body(value.payload)
            guard evenIfSame || wanted != value.payload else { return }
            do throws(RegisterFailure) {
                let outcome = try await compareAndSet(
                    key,
                    expectedVersion: value.version,
                    content: wanted
                )
                if case .committed = outcome { return }
            } catch {
                // Looked up by trying again: each change is one that can be made twice.
                guard error == .indeterminate else { throw .registers(error) }
            }
        }
        throw .contended(key)
    }

    private func held(_ key: String) async throws(NodeRemovalFailure) -> RegisterValue {
        do throws(RegisterFailure) { return try await read(key) } catch { throw .registers(error) }
    }
}
