import Addressing
import Determinism
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// The small ring that inputs are given to: this peer, two other stewards, a fourth member.
enum FuzzWorld {
    static let ring = RingID(bits: NodeID(high: 0x7269_6e67, low: 1))
    static let topic = Topic("blue")

    static func node(_ number: UInt64) -> NodeID { NodeID(high: 0x6e6f_6465, low: number) }

    static func storage(_ number: UInt64) -> NodeID { NodeID(high: 0x6469_736b, low: number) }

    static func address(_ number: UInt64) -> SocketAddress {
        SocketAddress(address: IPAddress(v4: 0x0a00_0000 + UInt32(number)), port: 7_940)
    }

    static func fact(_ number: UInt64, _ status: MemberFact.Status = .alive) -> MemberFact {
        MemberFact(
            id: node(number),
            boot: 3,
            incarnation: 1,
            status: status,
            name: "node-\(number)",
            zone: "a",
            address: address(number)
        )
    }

    /// How an input's first byte names a node; what is no member's number is a stranger.
    static func node(named byte: UInt8) -> NodeID { node(UInt64(byte)) }

    /// The configuration of an epoch, with few slots so that making it costs little.
    ///
    /// The weight is the default one in the place that this peer has and wants.
    static func configuration(epoch: UInt64, weight: Int = 100) -> RingConfiguration {
        RingConfiguration(
            ringID: ring,
            epoch: epoch,
            slotCount: 4,
            replicationFactor: 3,
            members: (1...4).map { number in
                RingMember(
                    id: node(number),
                    name: "node-\(number)",
                    zone: "a",
                    weight: weight,
                    address: address(number)
                )
            },
            stewards: stewards(epoch: 1)
        )
    }

    static let identity = PeerIdentity(
        node: node(1),
        storage: storage(1),
        boot: 3,
        name: "node-1",
        zone: "a",
        weight: 100,
        address: address(1)
    )

    /// The sets that this peer starts with: its own and another node's.
    static let sets = [
        OriginSet(
            topic: topic,
            origin: node(1),
            version: RecordVersion(boot: 3, sequence: 5),
            records: [OriginSet.Record(key: "a", content: [1, 2, 3])]
        ),
        OriginSet(
            topic: topic,
            origin: node(2),
            version: RecordVersion(boot: 3, sequence: 2),
            records: [
                OriginSet.Record(key: "b", content: []), OriginSet.Record(key: "c", content: [9]),
            ]
        ),
    ]

    /// The group that the configuration names, and the groups that may follow it.
    static func stewards(epoch: UInt64) -> StewardSet {
        StewardSet(
            epoch: epoch,
            members: (1...3).map { Steward(node: node($0), storage: storage($0)) }
        )
    }

    /// The rows that this peer starts with: its group with a register in it, and ``sets``.
    static let rows: [PeerRow] = {
        let operation = OperationID(node: node(2), boot: 2, number: 1)
        let entry = RegisterEntry(
            key: "a",
            accepted: AcceptedValue(
                ballot: Ballot(epoch: 1, counter: 1, proposer: node(2), boot: 2),
                value: RegisterValue(version: 1, operation: operation, payload: [7])
            )
        )
        let group = RegisterMessage.install(
            round: 1,
            stewards(epoch: 1),
            part: 0,
            [entry],
            isLast: true
        )
        guard var acceptor = try? Acceptor(storage: storage(1), founding: nil, rows: []),
            let step = acceptor.receive(group, from: node(2)), !step.rows.isEmpty
        else { preconditionFailure("an acceptor without a group is handed one") }
        return step.rows.map { PeerRow(space: .acceptor, key: $0.key, value: $0.value) }
            + sets.map { set in
                var key = ByteWriter()
                key.write(raw: set.topic.name.utf8)
                key.write(UInt8(0))
                key.write(set.origin)
                return PeerRow(space: .records, key: key.bytes, value: set.encoded)
            }
    }()

    /// What another steward answers to the question whether it knows of a later life of this
    /// peer's disk; nothing for every other effect.
    static func vouched(_ effect: PeerEffect) -> [(answer: [UInt8], steward: NodeID)] {
        if case .persist(_, let then) = effect { return then.flatMap(vouched) }
        guard case .frame(let bytes, let steward, _) = effect,
            case .register(let content) = try? PeerFrame(bytes),
            case .vouch(let round, _, _) = try? RegisterMessage(content[...])
        else { return [] }
        let answer = RegisterMessage.vouched(round: round, knowsLaterLife: false)
        return [(PeerFrame.register(answer.encoded).encoded, steward)]
    }
}
