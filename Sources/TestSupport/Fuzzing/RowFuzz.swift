import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// Laws: what decodes encodes to the same bytes; a peer starts from whatever it reads, or says
/// which field it cannot read, and then gives out addresses.
///
/// The first byte chooses the kind of row, the rest is the row; kind 5 is a list of rows to start
/// from: space, a length of one byte and a key, a length of two bytes and a value.
enum RowFuzz {
    static func run(_ input: [UInt8], isDeep: Bool) throws(FuzzFinding) {
        guard let kind = input.first else { return }
        let row = Array(input.dropFirst())
        let encoded: [UInt8]?
        switch kind % 6 {
        case 0: encoded = try? RingConfiguration(encoded: row[...]).encoded
        case 1: encoded = acceptor(row)?.rows.first?.value
        case 2: encoded = try? set(row).encoded
        case 3: encoded = try? AddressPool.Block(encoded: row).encoded
        case 4: encoded = try? AddressPool.Assignment(encoded: row).encoded
        default:
            if isDeep { start(row) }
            return
        }
        try law(encoded ?? row == row, "a row of kind \(kind % 6) has one encoding")
    }

    /// An acceptor whose only row is that of register "k" in epoch 1.
    private static func acceptor(_ row: [UInt8]) -> Acceptor? {
        try? Acceptor(
            storage: FuzzWorld.node(2),
            founding: nil,
            rows: [AcceptorRow(key: acceptorKey, value: row)]
        )
    }

    private static let acceptorKey: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0, 1] + Array("k".utf8)

    private static func set(_ row: [UInt8]) throws(WireError) -> OriginSet {
        var reader = ByteReader(row)
        let set = try OriginSet(from: &reader)
        try reader.finish()
        return set
    }

    private static func start(_ bytes: [UInt8]) {
        guard
            var peer = try? Peer(
                identity: FuzzWorld.identity,
                configuration: FuzzWorld.configuration(epoch: 2),
                rows: rows(bytes),
                seed: 7,
                now: .zero
            )
        else { return }
        for number in 0..<3 {
            let holder = AddressHolder(containerID: "c\(number)", interfaceName: "eth0")
            peer.allocate(FrameFuzz.World.plan, holder: holder, token: 1, now: .zero)
            peer.release(pool: 1, holder: holder, token: 1, now: .zero)
        }
        peer.publish(FuzzWorld.topic, [], token: 1, now: .zero)
        peer.tick(now: Instant(microseconds: 1_000_000))
    }

    private static func rows(_ bytes: [UInt8]) -> [PeerRow] {
        var reader = ByteReader(bytes)
        var rows: [PeerRow] = []
        while let number = try? reader.readInteger("space", as: UInt8.self),
            let keyLength = try? reader.readInteger("key", as: UInt8.self),
            let key = try? reader.readRaw(Int(keyLength), "key"),
            let length = try? reader.readInteger("value", as: UInt16.self),
            let value = try? reader.readRaw(Int(length), "value")
        {
            guard let space = PeerRow.Space(rawValue: Int(number)) else { continue }
            // The database has one row of a key.
            rows.removeAll { $0.space == space && $0.key == Array(key) }
            rows.append(PeerRow(space: space, key: Array(key), value: Array(value)))
        }
        return rows
    }

    private static func row(_ space: PeerRow.Space, _ key: UInt8, _ value: [UInt8]) -> [UInt8] {
        row(space, [key], value)
    }

    private static func row(_ space: PeerRow.Space, _ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        [UInt8(space.rawValue), UInt8(key.count)] + key
            + [UInt8(value.count >> 8), UInt8(value.count & 0xff)] + value
    }

    /// The rows of an acceptor that was asked to promise, and to take a value.
    private static func acceptorRows() -> [[UInt8]] {
        let node = FuzzWorld.node(2)
        let group = StewardSet(epoch: 1, members: [Steward(node: node, storage: node)])
        let operation = OperationID(node: node, boot: 3, number: 1)
        let value = RegisterValue(version: 4, operation: operation, payload: [1, 2])
        let ballot = Ballot(epoch: 1, counter: 9, proposer: node, boot: 3)
        guard var acceptor = try? Acceptor(storage: node, founding: group, rows: []) else {
            preconditionFailure("an acceptor without rows reads nothing")
        }
        let requests: [RegisterMessage] = [
            .prepare(round: 1, epoch: 1, key: "k", ballot: ballot),
            .accept(
                round: 2,
                epoch: 1,
                key: "k",
                AcceptedValue(ballot: ballot, value: value),
                next: ballot
            ),
        ]
        return requests.map { acceptor.receive($0, from: node)?.rows.first?.value ?? [] }
    }

    /// The row of an acceptor that others vouched for, and that has begun another life.
    private static func lives() -> [UInt8] {
        guard var acceptor = try? Acceptor(storage: FuzzWorld.node(2), founding: nil, rows: [])
        else { preconditionFailure("an acceptor without rows reads nothing") }
        _ = acceptor.beginLife(drawn: 1)
        _ = acceptor.beginLife(drawn: 2)
        acceptor.trust()
        return acceptor.beginLife(drawn: 3).row?.value ?? []
    }

    static var seeds: [FuzzSeed] {
        let acceptorRows = acceptorRows()
        let node = FuzzWorld.node(2)
        let plan = FrameFuzz.World.plan
        let block = AddressPool.Block(pool: 1, prefix: plan.block(1), fence: 1)
        func assignment(_ number: UInt32) -> AddressPool.Assignment {
            AddressPool.Assignment(
                pool: 1,
                address: IPAddress(v4: 0x0a64_0040 + number),
                holder: AddressHolder(containerID: "c\(number)", interfaceName: "eth0"),
                fence: 1
            )
        }
        let database =
            row(.acceptor, acceptorKey, acceptorRows[1])
            + row(.records, 1, FuzzWorld.sets[0].encoded)
            + row(.records, 2, FuzzWorld.sets[1].encoded)
            + row(.blocks, 1, block.encoded)
            + row(.assignments, 1, [1] + assignment(1).encoded)
            + row(.assignments, 2, [1] + assignment(2).encoded)
            + row(.assignments, 3, [0] + assignment(3).encoded)
            + row(.arrivals, [], PendingArrival.encoded([.init(slot: 1, sources: [node])]))
            + row(.acceptor, [3], lives())
        return [
            FuzzSeed("configuration", [0] + FuzzWorld.configuration(epoch: 2).encoded),
            FuzzSeed("acceptor-accepted", [1] + acceptorRows[1]),
            FuzzSeed("acceptor-promised", [1] + acceptorRows[0]),
            FuzzSeed("origin-set", [2] + FuzzWorld.sets[1].encoded),
            FuzzSeed("block", [3] + block.encoded),
            FuzzSeed("assignment", [4] + assignment(1).encoded),
            FuzzSeed("database", [5] + database),
            FuzzSeed("database-block-alone", [5] + row(.blocks, 1, block.encoded)),
        ]
    }
}
