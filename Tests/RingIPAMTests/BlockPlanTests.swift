import Addressing
import Determinism
import RingIPAM
import Testing

@Suite("Subnets of every size, of both families: blocks, hosts and gateways")
struct BlockPlanTests {
    private let node = NodeID(high: 3, low: 4)

    private func plan(_ subnet: String, _ exclusions: [String] = []) throws -> BlockPlan {
        BlockPlan(
            pool: 7,
            subnet: try #require(Prefix(subnet)),
            exclusions: try exclusions.map { try #require(AddressRange($0)) }
        )
    }

    @Test(
        "each family's rules say which addresses pods may have, and which is the gateway",
        arguments: [
            ("10.0.0.0/30", "10.0.0.1", ["10.0.0.2"]),
            ("10.0.0.0/31", "10.0.0.0", ["10.0.0.1"]),
            ("10.0.0.7/32", "169.254.1.1", ["10.0.0.7"]),
            ("fd00::/126", "fd00::1", ["fd00::2", "fd00::3"]),
            ("fd00::8/127", "fd00::8", ["fd00::9"]),
            ("fd00::7/128", "fe80::1", ["fd00::7"]),
        ]
    )
    func hosts(subnet: String, gateway: String, hosts: [String]) throws {
        let plan = try plan(subnet)
        #expect(plan.count == 1)
        #expect(plan.subnet.gateway.description == gateway)
        #expect(plan.assignable(in: plan.block(0)).map(\.description) == hosts)
    }

    @Test(
        "blocks are /26 and /122, however many there are",
        arguments: [
            ("10.0.0.0/8", UInt64?(1 << 18), "10.0.0.0/26"), ("fd00::/122", 1, "fd00::/122"),
            ("fd00::/64", 1 << 58, "fd00::/122"), ("fd00::/48", nil, "fd00::/122"),
            ("2000::/16", nil, "2000::/122"),
        ]
    )
    func sizes(subnet: String, count: UInt64?, first: String) throws {
        let plan = try plan(subnet)
        #expect(plan.count == count)
        #expect(plan.block(0).description == first)
    }

    @Test(
        "drawn blocks lie in the subnet, are many, each has a register of its own, and two nodes draw others",
        arguments: ["fd00::/48", "fd00::/64", "fd00:1:2::/96", "2000::/16", "fd00::/103"]
    )
    func drawn(subnet: String) throws {
        let plan = try plan(subnet)
        let blocks = plan.candidates(for: node)
        #expect(blocks.count >= 60)
        #expect(Set(blocks).count == blocks.count)
        for block in blocks {
            #expect(plan.subnet.contains(block.first) && plan.subnet.contains(block.last))
            #expect(block.length == 122)
            #expect(plan.block(ofKey: plan.registerKey(block)) == block)
            #expect(plan.block(containing: block.last) == block)
        }
        #expect(Set(blocks.map(plan.registerKey)).count == blocks.count)
        let others = plan.candidates(for: NodeID(high: 9, low: 9))
        #expect(Set(others).intersection(blocks).count < 4)
        // The upper bits of a wide subnet are drawn as well.
        if plan.subnet.length < 64 { #expect(Set(blocks.map(\.first.high)).count > 50) }
    }

    @Test(
        "a name that is no block's register is not taken for one",
        arguments: [
            ("10.0.0.0/24", "ipam/7/4"), ("10.0.0.0/24", "ipam/7/01"), ("10.0.0.0/24", "ipam/7/-1"),
            ("10.0.0.0/24", "ipam/8/1"), ("10.0.0.0/24", "ipam6/7/1"),
            ("fd00::/64", "ipam6/7/00000000000000000000000000000000"),
            ("fd00::/64", "ipam6/7/fd000000000000000000000000000001"), ("fd00::/64", "ipam6/7/1"),
        ]
    )
    func strangeKeys(subnet: String, key: String) throws {
        #expect(try plan(subnet).block(ofKey: key) == nil)
    }

    @Test("excluded addresses are not given out, and a block of nothing else is not claimed")
    func exclusions() throws {
        let plan = try plan("10.1.0.0/24", ["10.1.0.64/26", "10.1.0.2-10.1.0.10", "10.1.0.200"])
        #expect(plan.candidates(for: node).count == 3)
        #expect(!plan.isAssignable(try #require(IPAddress("10.1.0.2"))))
        #expect(!plan.isAssignable(try #require(IPAddress("10.1.0.10"))))
        #expect(plan.isAssignable(try #require(IPAddress("10.1.0.11"))))
        #expect(!plan.isAssignable(try #require(IPAddress("10.1.0.200"))))
        #expect(plan.assignable(in: plan.block(0)).first?.description == "10.1.0.11")
    }

    @Test("the last 128 addresses of a wide IPv6 subnet are anycast (RFC 2526)")
    func anycast() throws {
        let wide = try #require(Prefix("fd00::/64"))
        #expect(!wide.isHost(try #require(IPAddress("fd00::ffff:ffff:ffff:ff80"))))
        #expect(wide.isHost(try #require(IPAddress("fd00::ffff:ffff:ffff:ff7f"))))
        #expect(!wide.isHost(wide.first) && !wide.isHost(wide.gateway))
        let narrow = try #require(Prefix("fd00::/120"))
        #expect(narrow.isHost(narrow.last))
    }

    @Test(
        "ranges are read strictly",
        arguments: [
            ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"), ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/30", "10.0.0.0-10.0.0.3"), ("fd00::1-fd00::2", "fd00::1-fd00::2"),
            ("10.0.0.9-10.0.0.1", nil), ("10.0.0.1-fd00::1", nil), ("10.0.0.1-", nil), ("", nil),
            ("10.0.0.1-10.0.0.2-10.0.0.3", nil), ("10.0.0.1/24", nil),
        ]
    )
    func ranges(text: String, canonical: String?) {
        #expect(AddressRange(text)?.description == canonical)
    }

    @Test("an IPv6 pool gives out every address of a block once, like one of IPv4")
    func sixty() throws {
        let plan = try plan("fd00::/122")
        var pool = AddressPool(
            blocks: [.init(pool: 7, prefix: plan.block(0), fence: 1)],
            assignments: []
        )
        var seen = Set<IPAddress>()
        for number in 0..<62 {
            let holder = AddressHolder(containerID: "c\(number)", interfaceName: "eth0")
            guard case .assigned(let one) = pool.allocate(plan, holder: holder, now: .zero) else {
                Issue.record("address \(number) was refused")
                return
            }
            seen.insert(one.address)
        }
        #expect(seen.count == 62)
        let late = AddressHolder(containerID: "late", interfaceName: "eth0")
        #expect(pool.allocate(plan, holder: late, now: .zero) == .needsBlock)
    }

    @Test("a wanted address is given when it is free, and refused while it is held or rests")
    func wanted() throws {
        let plan = try plan("10.1.0.0/26")
        var pool = AddressPool(
            blocks: [.init(pool: 7, prefix: plan.block(0), fence: 1)],
            assignments: []
        )
        let address = try #require(IPAddress("10.1.0.40"))
        let first = AddressHolder(containerID: "a", interfaceName: "eth0")
        let second = AddressHolder(containerID: "b", interfaceName: "eth0")
        guard
            case .assigned(let got) = pool.allocate(
                plan,
                holder: first,
                wanted: address,
                now: .zero
            )
        else {
            Issue.record("refused")
            return
        }
        #expect(got.address == address)
        #expect(pool.allocate(plan, holder: second, wanted: address, now: .zero) == .taken)
        _ = pool.release(pool: 7, holder: first, now: .zero)
        #expect(pool.allocate(plan, holder: second, wanted: address, now: .zero) == .taken)
        let later = Instant.zero.advanced(by: .seconds(60))
        guard case .assigned = pool.allocate(plan, holder: second, wanted: address, now: later)
        else {
            Issue.record("refused after its rest")
            return
        }
    }
}
