package import Addressing
package import Determinism
package import RingMembership
import Wire

/// The bare failure detector as a process, with the little around it that a peer adds: greeting
/// at the start, exchanges over streams, a boot counter on the disk.
///
/// Datagrams travel as values, so that thousands of nodes run faster than real time.
package struct MembershipProcess: SimulatedProcess {
    /// What all processes of a world are made with.
    package struct Settings: Sendable {
        /// The ring.
        package var ring = NodeID(high: 9, low: 9)
        /// The parameters of the failure detector.
        package var parameters = MembershipParameters()
        /// Whether each process compares its table with all evidence it was given.
        package var checksEvidence = false
        /// Whether processes keep on their disks whom to greet after the next start.
        package var keepsContacts = true
        /// Whether the bytes of datagrams are counted.
        package var countsBytes = false
        /// What every node is born knowing; empty when nodes join by greeting.
        package var bornKnowing: [MemberFact] = []
        /// The one node that all others greet first; nil when each greets up to three drawn ones.
        package var seedNode: Int?

        /// Makes the defaults.
        package init() {}
    }

    /// What travels over streams.
    package enum Frame: Sendable {
        /// "May I take part?"
        case hello(MemberFact)
        /// "You may": everyone that is known.
        case welcome([MemberFact])
        /// What two members whose tables differ tell each other.
        case sync(MembershipSync)
        /// "Are you there?", asked where datagrams were not answered.
        case probe(sequence: UInt32)
        /// "I am", with the sender's own fact.
        case probeAnswer(sequence: UInt32, MemberFact)
    }

    /// What is to be done.
    package enum Effect: Sendable {
        /// What the membership wants.
        case membership(Membership.Effect)
        /// Send a frame; without an identity, to whoever is at the address.
        case frame(Frame, to: NodeID?, at: SocketAddress)
        /// Keep whom to greet after the next start.
        case keepContacts([UInt8])
        /// Something is wrong with the membership itself.
        case violation(String)
    }

    /// What a process tells whoever runs the world.
    package enum Report: Sendable {
        /// A member is new or fares differently.
        case changed(Membership.Member)
        /// The identity is in use, or the disk is an old copy.
        case identityTaken
        /// A member is reached by stream and not by datagram.
        case datagramsBlocked(NodeID)
        /// A law of the membership was broken.
        case violation(String)
    }

    struct Contact: Sendable {
        let id: NodeID?
        let address: SocketAddress
    }

    /// The failure detector.
    package var membership: Membership

    private var effects: [Effect] = []
    private var contacts: [Contact]
    private var nextContactAt: Instant
    private var contactsKeptAt: Instant
    private var isContactsDue = false
    private let settings: Settings

    private static let contactInterval = Span.seconds(2)
    private static let contactsMax = 64
    static let contactsKey = DiskKey(space: 1, key: [])

    package static func launch(_ node: Int, in world: inout World<Self>) -> Self {
        guard let identity = world.identity(node) else {
            preconditionFailure("a node is started with an identity")
        }
        let now = world.localTime(node)
        let own = MemberFact(
            id: identity.node,
            boot: identity.boot,
            name: "n\(node)",
            address: world.address(node)
        )
        let settings = world.settings
        var process = MembershipProcess(
            membership: Membership(
                own: own,
                ring: settings.ring,
                parameters: settings.parameters,
                knowing: settings.bornKnowing,
                seed: world.drawSeed(),
                now: now
            ),
            contacts: [],
            nextContactAt: now,
            contactsKeptAt: now,
            settings: settings
        )
        if let bytes = world.disk(node).rows[contactsKey] {
            process.contacts = readContacts(bytes)
        }
        // Where nobody it knew is left as it knew it, an operator says whom to greet.
        if settings.bornKnowing.isEmpty, !process.contacts.contains(where: world.isValid) {
            process.contacts += world.drawContacts(for: node)
        }
        return process
    }

    private init(
        membership: Membership,
        contacts: [Contact],
        nextContactAt: Instant,
        contactsKeptAt: Instant,
        settings: Settings
    ) {
        self.membership = membership
        self.contacts = contacts
        self.nextContactAt = nextContactAt
        self.contactsKeptAt = contactsKeptAt
        self.settings = settings
    }

    // MARK: Entry points

    package var deadline: Instant {
        contacts.isEmpty ? membership.deadline : min(membership.deadline, nextContactAt)
    }

    package mutating func tick(now: Instant) {
        if membership.deadline <= now { membership.tick(now: now) }
        if !contacts.isEmpty, nextContactAt <= now { greet(now: now) }
        keepContacts(now: now)
    }

    package mutating func receive(
        datagram: MembershipDatagram,
        from source: SocketAddress,
        now: Instant
    ) {
        _ = membership.receive(datagram, from: source, now: now)
        guard settings.checksEvidence else { return }
        for rumor in datagram.rumors {
            check(rumor.fact)
            // Even of somebody gone whom nobody here knew: the news must reach whom it concerns.
            if membership.member(rumor.fact.id) == nil, rumor.fact.id != membership.own.id {
                effects.append(.violation("\(rumor.fact.short) was heard of and is not known"))
            }
        }
    }

    package mutating func receive(frame: Frame, from peer: NodeID, now: Instant) {
        switch frame {
        case .hello(let fact):
            membership.merge([fact], from: peer, now: now)
            effects.append(.frame(.welcome(membership.facts), to: peer, at: fact.address))
        case .welcome(let facts):
            membership.merge(facts, from: peer, now: now)
            for fact in facts { check(fact) }
        case .sync(let message):
            _ = membership.receive(message, from: peer, now: now)
            if case .facts(let facts, _) = message { for fact in facts { check(fact) } }
        case .probe(let sequence):
            guard membership.own.status != .left else { return }
            answer(.probeAnswer(sequence: sequence, membership.own), to: peer)
        case .probeAnswer(let sequence, let fact):
            guard fact.id == peer else { return }
            membership.streamAnswered(sequence: sequence, by: fact, now: now)
        }
    }

    package mutating func portClosed(at address: SocketAddress, now: Instant) {
        let member = membership.members.first {
            $0.fact.address == address && !$0.fact.status.isGone
        }
        if let member { membership.portClosed(member.fact, now: now) }
    }

    package mutating func leave(now: Instant) { membership.leave(now: now) }

    mutating func knows(_ id: NodeID, incarnation: UInt64) -> Bool {
        membership.member(id)?.fact.incarnation ?? 0 >= incarnation
    }

    // MARK: What a peer adds

    private mutating func answer(_ frame: Frame, to peer: NodeID) {
        guard let address = membership.member(peer)?.fact.address else { return }
        effects.append(.frame(frame, to: peer, at: address))
    }

    /// Whoever is not known yet is greeted again and again, as a peer greets the members of its
    /// ring's configuration.
    private mutating func greet(now: Instant) {
        contacts.removeAll { contact in
            guard let id = contact.id else {
                return membership.members.contains { $0.fact.address == contact.address }
            }
            return id == membership.own.id || membership.member(id) != nil
        }
        nextContactAt = now.advanced(by: Self.contactInterval)
        for contact in contacts {
            effects.append(.frame(.hello(membership.own), to: contact.id, at: contact.address))
        }
    }

    private mutating func keepContacts(now: Instant) {
        guard isContactsDue, now.since(contactsKeptAt) >= .seconds(1) else { return }
        isContactsDue = false
        contactsKeptAt = now
        var writer = ByteWriter()
        // The gone as well, who may only be behind a partition. Spread over the ring: the same few
        // would be everybody's only hope after a mass restart.
        let known = membership.members.map(\.fact)
        let step = max(1, known.count / Self.contactsMax)
        let kept = stride(from: 0, to: known.count, by: step).prefix(Self.contactsMax)
        writer.write(list: kept.map { known[$0] }) { $1.write(to: &$0) }
        effects.append(.keepContacts(writer.bytes))
    }

    private static func readContacts(_ bytes: [UInt8]) -> [Contact] {
        var reader = ByteReader(bytes)
        do throws(WireError) {
            let facts = try reader.readList("contacts", max: contactsMax) {
                reader throws(WireError) in
                try MemberFact(from: &reader)
            }
            try reader.finish()
            return facts.map { Contact(id: $0.id, address: $0.address) }
        } catch { preconditionFailure("a process reads the contacts that it wrote: \(error)") }
    }

    /// The law of monotone evidence: nothing that was heard may be above what is stored.
    private mutating func check(_ fact: MemberFact) {
        guard settings.checksEvidence, fact.id != membership.own.id,
            let known = membership.member(fact.id)?.fact
        else { return }
        guard (known.boot, known.incarnation) < (fact.boot, fact.incarnation) else { return }
        effects.append(
            .violation(
                "\(fact.name) was heard of at boot \(fact.boot), incarnation \(fact.incarnation), "
                    + "and is kept at \(known.boot), \(known.incarnation)"
            )
        )
    }

    // MARK: Effects

    package mutating func takeEffects() -> [Effect] {
        var taken: [Effect] = []
        swap(&taken, &effects)
        guard !membership.effects.isEmpty else { return taken }
        var wanted: [Membership.Effect] = []
        swap(&wanted, &membership.effects)
        taken.reserveCapacity(taken.count + wanted.count)
        for effect in wanted {
            if case .changed = effect { isContactsDue = settings.keepsContacts }
            taken.append(.membership(effect))
        }
        return taken
    }
}
