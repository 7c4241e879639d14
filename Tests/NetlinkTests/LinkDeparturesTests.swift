import Glibc
import Netlink
import Synchronization
import Testing

private let needsRoot: ConditionTrait = .enabled(if: getuid() == 0, "needs root")

@Suite("LinkDepartures: a deletion is over when the kernel says so", needsRoot)
struct LinkDeparturesTests {
    @Test("who deletes is answered by the news, and nobody finds either end by then")
    func first_deletion_newsAreEnough() async throws {
        let spaces = try TestNamespaces(2)
        let node = spaces.path(0)
        let departures = try LinkDepartures(netnsPath: node)
        let pair = VethPair.numbered(1, hostName: "gr1")
        let ends = try PodLink.create(pair, netnsPath: spaces.path(1), hostNetnsPath: node)
        let gate = AsyncStream.makeStream(of: Void.self)
        // It does not end before the test lets it: only the news can be the answer.
        let found = try await departures.first(ofIndex: ends.hostIndex) {
            try Links.delete(pair.hostName, netnsPath: node)
            for await _ in gate.stream {}
            return .absent
        }
        #expect(found == .deleted)
        #expect(throws: NetlinkError.linkMissing(name: pair.hostName, netnsPath: node)) {
            try Links.info(pair.hostName, netnsPath: node)
        }
        #expect(throws: NetlinkError.self) {
            try Links.info("eth0", netnsPath: spaces.path(1))
        }
        gate.continuation.finish()
    }

    @Test("without news the deletion's own answer counts")
    func first_noNews_deletionAnswers() async throws {
        let spaces = try TestNamespaces(1)
        let departures = try LinkDepartures(netnsPath: spaces.path(0))
        let found = try await departures.first(ofIndex: 4_000) {
            try Links.delete("gr1", netnsPath: spaces.path(0))
        }
        #expect(found == .absent)
        await #expect(throws: NetlinkError.self) {
            try await departures.first(ofIndex: 4_000) {
                throw NetlinkError.linkMissing(name: "gr1", netnsPath: nil)
            }
        }
    }

    @Test("a port that leaves its bridge is not gone")
    func first_portLeavesBridge_isNoDeparture() async throws {
        let spaces = try TestNamespaces(1)
        let node = spaces.path(0)
        let departures = try LinkDepartures(netnsPath: node)
        try spaces.run(0, "ip link add br0 type bridge")
        try spaces.run(0, "ip link add port type veth peer name other")
        try spaces.run(0, "ip link set port master br0")
        let index = try Links.index(of: "port", netnsPath: node)
        let found = try await departures.first(ofIndex: index) {
            try shell("ip -n \(spaces.names[0]) link set port nomaster")
            try await Task.sleep(for: .milliseconds(100))
            return .absent
        }
        #expect(found == .absent)
    }
}
