import Addressing
import Determinism
import RingIPAM
import RingPeer
import RingPlacement
import Testing

/// A ring of one peer, whose disk and process are cut at a chosen write.
struct OneDisk {
    enum Cut: CaseIterable, Sendable {
        /// The write is lost with the process.
        case before
        /// The write is down, and what waited for it never happens.
        case after
    }

    let identity: PeerIdentity
    var peer: Peer?
    var rows: [PeerRow] = []
    var answers: [RequestToken: PeerAnswer] = [:]
    var now = Instant.zero
    /// Writes since the last ``count`` was set.
    var writes = 0
    var cutAt: Int?
    var cut = Cut.before
    var flaws: [IPAMFlaw] = []
    private var boot: UInt64 = 0
    private var queue: [PeerEffect] = []
    private var nextToken: RequestToken = 1

    init() {
        identity = Self.identity(boot: 1)
    }

    private static func identity(boot: UInt64) -> PeerIdentity {
        PeerIdentity(
            node: NodeID(high: 0, low: 1),
            storage: NodeID(high: 0, low: 2),
            boot: boot,
            name: "a",
            zone: "",
            weight: 100,
            address: SocketAddress(address: IPAddress(v4: 0x7f00_0001), port: 7_940)
        )
    }

    mutating func start() throws {
        boot += 1
        let ring = RingID(bits: NodeID(high: 0, low: 9))
        let identity = Self.identity(boot: boot)
        var parameters = PeerParameters()
        parameters.ipam.flaws = flaws
        peer = try Peer(
            identity: identity,
            configuration: Peer.founding(identity, ring: ring),
            rows: rows.filter { $0.space != .configuration },
            parameters: parameters,
            seed: boot,
            now: now
        )
        queue = []
    }

    mutating func ask(_ body: (inout Peer, RequestToken, Instant) -> Void) -> RequestToken {
        let token = nextToken
        nextToken += 1
        act { body(&$0, token, $1) }
        return token
    }

    /// Runs the clock until the token is answered, the process is cut or the time is over.
    mutating func run(until token: RequestToken?, for span: Span = .seconds(5)) {
        let end = now.advanced(by: span)
        while now < end, peer != nil {
            carryOut()
            if let token, answers[token] != nil { return }
            now = now.advanced(by: .milliseconds(20))
            guard let peer, now >= peer.deadline else { continue }
            act { $0.tick(now: $1) }
        }
        carryOut()
    }

    private mutating func act(_ body: (inout Peer, Instant) -> Void) {
        guard var current = peer else { return }
        body(&current, now)
        queue += current.effects
        current.effects = []
        peer = current
    }

    private mutating func carryOut() {
        while !queue.isEmpty, peer != nil {
            switch queue.removeFirst() {
            case .persist(let written, let then):
                writes += 1
                if writes == cutAt, cut == .before { return end() }
                keep(written)
                if writes == cutAt { return end() }
                queue = then + queue
            case .frame(let bytes, let node, _) where node == identity.node:
                act { _ = $0.receive(frame: bytes, from: node, now: $1) }
            case .answer(let token, let answer): answers[token] = answer
            case .frame, .datagram, .event: break
            }
        }
    }

    private mutating func end() {
        peer = nil
        queue = []
    }

    private mutating func keep(_ written: [PeerRow]) {
        for row in written {
            rows.removeAll { $0.space == row.space && $0.key == row.key }
            if row.value != nil { rows.append(row) }
        }
    }
}

@Suite("ADD and DEL cut at every write: nothing leaks, nothing doubles")
struct AddressCrashTests {
    private let holder = AddressHolder(containerID: "a", interfaceName: "eth0")

    private func plans() throws -> [BlockPlan] {
        // One block each: lost to this node, they would be lost to everybody.
        [
            BlockPlan(pool: 5, subnet: try #require(Prefix("10.1.0.0/29"))),
            BlockPlan(pool: 5, subnet: try #require(Prefix("fd00::/125"))),
        ]
    }

    private func add(_ disk: inout OneDisk, _ name: String) throws -> PeerAnswer? {
        let plans = try plans()
        let holder = AddressHolder(containerID: name, interfaceName: "eth0")
        let token = disk.ask {
            $0.allocate(plans, holder: holder, wanted: [], token: $1, now: $2)
        }
        disk.run(until: token)
        return disk.answers[token]
    }

    private func delete(_ disk: inout OneDisk, _ name: String) -> PeerAnswer? {
        let holder = AddressHolder(containerID: name, interfaceName: "eth0")
        let token = disk.ask { $0.release(pool: 5, holder: holder, token: $1, now: $2) }
        disk.run(until: token)
        return disk.answers[token]
    }

    private func pair(_ answer: PeerAnswer?) -> [IPAddress]? {
        guard case .address(.assignedPair(let one, let two)) = answer else { return nil }
        return [one.address, two.address]
    }

    /// The writes of a run that is not cut.
    private func countWrites(_ prepare: (inout OneDisk) throws -> Void) throws -> Int {
        var disk = OneDisk()
        try disk.start()
        try prepare(&disk)
        return disk.writes
    }

    @Test("an ADD that was cut can be repeated and undone", arguments: OneDisk.Cut.allCases)
    func add(cut: OneDisk.Cut) throws {
        let total = try countWrites { _ = try add(&$0, "a") }
        #expect(total >= 8)
        for write in 1...total {
            var disk = OneDisk()
            disk.cut = cut
            disk.cutAt = write
            try disk.start()
            let first = pair(try add(&disk, "a"))
            disk.cutAt = nil
            if disk.peer == nil { try disk.start() }
            let again = try #require(pair(try add(&disk, "a")), "after write \(write)")
            // What was told is kept.
            if let first { #expect(first == again, "after write \(write)") }
            let held = disk.peer?.pool.inUse.map(\.address) ?? []
            #expect(held.sorted() == again.sorted(), "after write \(write)")
            let other = try #require(pair(try add(&disk, "b")), "after write \(write)")
            #expect(Set(other).isDisjoint(with: again), "after write \(write)")
            #expect(delete(&disk, "a") == .address(.released))
            #expect(delete(&disk, "b") == .address(.released))
            #expect(disk.peer?.pool.inUse.isEmpty == true, "after write \(write)")
        }
    }

    @Test(
        "a DEL that was cut can be repeated, and its addresses rest",
        arguments: OneDisk.Cut.allCases
    )
    func delete(cut: OneDisk.Cut) throws {
        var before = OneDisk()
        try before.start()
        let held = try #require(pair(try add(&before, "a")))
        before.run(until: nil, for: .seconds(1))
        before.writes = 0
        var probe = before
        _ = delete(&probe, "a")
        #expect(probe.writes >= 1)
        for write in 1...probe.writes {
            var disk = before
            disk.cut = cut
            disk.cutAt = write
            let first = delete(&disk, "a")
            disk.cutAt = nil
            if disk.peer == nil { try disk.start() }
            if first != nil { #expect(disk.peer?.pool.inUse.isEmpty == true) }
            #expect(delete(&disk, "a") == .address(.released))
            #expect(disk.peer?.pool.inUse.isEmpty == true, "after write \(write)")
            let next = try #require(pair(try add(&disk, "b")), "after write \(write)")
            #expect(Set(next).isDisjoint(with: held), "after write \(write)")
        }
    }
}
