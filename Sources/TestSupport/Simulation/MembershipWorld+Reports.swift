import Determinism
import RingMembership

extension MembershipWorld {
    // MARK: What the processes tell

    mutating func absorb() {
        let reports = world.reports
        world.reports = []
        for report in reports {
            switch report.content {
            case .changed(let member): note(member, at: report.at, by: report.node)
            case .violation(let text):
                // All that a process finds by itself is about what it was told.
                violations.append(
                    Violation(law: .monotone, at: report.at, node: report.node, text: text)
                )
            case .identityTaken:
                guard let own = world.lastOwn(report.node) else { continue }
                takenIdentities.append(
                    Turn(
                        at: report.at,
                        observer: report.node,
                        subject: report.node,
                        fact: own,
                        isLive: false
                    )
                )
            case .datagramsBlocked(let id):
                guard let subject = world.number(of: id) else { continue }
                blockedDatagrams.append((report.node, subject))
            }
        }
    }

    private mutating func note(_ member: Membership.Member, at time: Instant, by observer: Int) {
        guard let subject = world.number(of: member.fact.id), observer < views.count else { return }
        if views[observer].life != world.life(observer) {
            views[observer] = View(life: world.life(observer))
        }
        let number = identityNumber(member.fact.id)
        let turn = Turn(
            at: time,
            observer: observer,
            subject: subject,
            fact: member.fact,
            isLive: world.isLive(member.fact, on: subject)
        )
        switch (views[observer].reachable.contains(number), member.isReachable) {
        case (true, false):
            views[observer].reachable.remove(number)
            views[observer].removed.insert(number)
            removals.append(turn)
        case (false, true):
            views[observer].reachable.insert(number)
            if views[observer].removed.contains(number) { returns.append(turn) }
        case (true, true), (false, false): break
        }
    }

    mutating func identityNumber(_ id: NodeID) -> Int {
        if let number = identityNumbers[id] { return number }
        identityNumbers[id] = identityNumbers.count
        return identityNumbers.count - 1
    }

    // MARK: Laws that hold at any time

    /// Looks at every table: ages never go down while the observer lives, queues keep their bounds.
    ///
    /// - Complexity: the square of the number of nodes.
    package mutating func sweep() {
        while ages.count < world.count {
            ages.append([:])
            ageLives.append(0)
        }
        for observer in 0..<world.count {
            guard let membership = membership(observer) else {
                ages[observer] = [:]
                continue
            }
            if ageLives[observer] != world.life(observer) {
                ages[observer] = [:]
                ageLives[observer] = world.life(observer)
            }
            for fact in membership.facts {
                let age = (boot: fact.boot, incarnation: fact.incarnation)
                if let before = ages[observer][fact.id], age < before {
                    violate(
                        .monotone,
                        observer,
                        "\(fact.short) was \(before.boot).\(before.incarnation)"
                    )
                }
                ages[observer][fact.id] = age
            }
            if let text = membership.brokenBound { violate(.bounded, observer, text) }
        }
    }

    private mutating func violate(_ law: PlanRun.Law, _ node: Int, _ text: String) {
        violations.append(Violation(law: law, at: now, node: node, text: text))
    }
}

extension Membership {
    /// The first queue that is longer than its bound; nil when none is.
    var brokenBound: String? {
        let lengths = queueLengths
        let members = members.count
        if lengths.rumors > members + 1 { return "\(lengths.rumors) rumors of \(members) members" }
        if lengths.suspicions > members { return "\(lengths.suspicions) suspicions" }
        if lengths.probes > MembershipParameters.probesMax { return "\(lengths.probes) probes" }
        if lengths.relays > MembershipParameters.relaysMax { return "\(lengths.relays) relays" }
        return nil
    }
}

extension World<MembershipProcess> {
    /// Gives a node its identity before its first start, and says what it will say of itself.
    mutating func bear(_ node: Int) -> MemberFact {
        let identity = DiskIdentity(
            node: NodeID(using: &generator),
            storage: NodeID(using: &generator)
        )
        nodes[node].disk.content.identity = identity
        nodeNumbers[identity.node] = node
        return MemberFact(id: identity.node, boot: 1, name: "n\(node)", address: address(node))
    }

    func life(_ node: Int) -> Int32 { nodes[node].life }

    func isLive(_ fact: MemberFact, on node: Int) -> Bool {
        guard let own = process(node)?.membership.own else { return false }
        return own.id == fact.id && own.boot == fact.boot && own.status != .left
    }

    func lastOwn(_ node: Int) -> MemberFact? {
        identity(node).map {
            MemberFact(id: $0.node, boot: $0.boot, name: "n\(node)", address: address(node))
        }
    }
}

/// A set of small numbers.
struct BitSet: Sendable {
    private var words: [UInt64] = []

    func contains(_ number: Int) -> Bool {
        let place = number >> 6
        return place < words.count && words[place] >> UInt64(number & 63) & 1 == 1
    }

    mutating func insert(_ number: Int) {
        let place = number >> 6
        while words.count <= place { words.append(0) }
        words[place] |= 1 << UInt64(number & 63)
    }

    mutating func remove(_ number: Int) {
        let place = number >> 6
        if place < words.count { words[place] &= ~(1 << UInt64(number & 63)) }
    }
}
