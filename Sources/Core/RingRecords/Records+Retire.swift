import Determinism

/// Rule R8: who is no member any more has no records, and none of them comes back.
extension Records {
    /// Whether sets of a node may be kept in this epoch.
    func mayHold(_ origin: NodeID) -> Bool {
        origin == own || view.isMember(origin) || parameters.flaws.contains(.retiredSetAccepted)
    }

    /// Whether a set may be taken from a peer.
    ///
    /// Of a node that was retired and is a member again, what it had said before comes back from
    /// itself alone; unless the process that said it runs still, which tells all owners again.
    func mayTake(_ origin: NodeID, _ version: RecordVersion, from peer: NodeID) -> Bool {
        guard mayHold(origin) else { return false }
        guard peer != origin, let fence = fences[origin] else { return true }
        return version.boot > fence || version.boot == reachable[origin]
            || parameters.flaws.contains(.retiredSetAccepted)
    }

    /// A node that was retired speaks for itself again.
    mutating func liftFence(_ set: OriginSet, from peer: NodeID) {
        guard peer == set.origin, fences[peer] != nil else { return }
        fences[peer] = nil
        effects.append(.fence(peer, boot: 0))
    }

    mutating func retireFormerMembers(since before: OwnershipView) {
        guard let members = view.members, !parameters.flaws.contains(.retiredSetAccepted) else {
            return
        }
        let gone: [NodeID]
        if let earlier = before.members {
            gone = earlier.elements.filter { !members.contains($0) && $0 != own }
        } else {
            gone = []
        }
        for node in gone { retire(node) }
    }

    /// Drops all sets of a node, here and durably.
    ///
    /// - Complexity: O(topics); members are removed by people, one at a time.
    mutating func retire(_ node: NodeID) {
        var boot: UInt64 = 0
        for topic in store.topicNames {
            guard let set = store.set(topic, node) else { continue }
            boot = max(boot, set.version.boot)
            erase(topic, node)
            if watches[topic] != nil { effects.append(.retired(topic, node)) }
        }
        guard boot > fences[node] ?? 0 else { return }
        fences[node] = boot
        effects.append(.fence(node, boot: boot))
    }

    mutating func erase(_ topic: Topic, _ origin: NodeID) {
        if store.remove(topic, origin) { effects.append(.erase(topic, origin)) }
    }
}
