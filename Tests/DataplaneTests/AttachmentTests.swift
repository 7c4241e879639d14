import BPFObjects
import Foundation
import Testing

private typealias F = DataplaneFixture

@Suite(
    "attachments: tcx, clsact, XDP, adoption",
    .enabled(if: getuid() == 0, "needs root"),
    .serialized
)
struct AttachmentTests {
    private let node: NetworkNamespace
    private let mount: BPFMount
    private let first: UInt32
    private let second: UInt32

    init() throws {
        node = try NetworkNamespace()
        mount = try BPFMount()
        try node.run("ip link add one type veth peer name one-peer && ip link set one up")
        try node.run("ip link add two type veth peer name two-peer && ip link set two up")
        first = try node.ifindex(of: "one")
        second = try node.ifindex(of: "two")
    }

    private func open(_ choice: TrafficControlChoice = .automatic) throws -> Dataplane {
        try Dataplane(pinDirectory: mount.path + "/genie", trafficControl: choice)
    }

    @Test("a pod's attachment outlives its maker, and the next one replaces the program")
    func adoption() throws {
        let before = try node.inside {
            let dataplane = try open()
            #expect(try dataplane.attachPod(ifindex: first, key: "a") == .tcx)
            return try dataplane.attachments()
        }
        #expect(before.map(\.role) == [.pod(key: "a")])
        #expect(before.map(\.ifindex) == [first])
        try node.inside {
            let dataplane = try open()
            #expect(try dataplane.attachments() == before)
            try dataplane.attachPod(ifindex: first, key: "a")
            let after = try dataplane.attachments()
            #expect(after.map(\.ifindex) == [first])
            #expect(after.map(\.programID) != before.map(\.programID))
            try dataplane.detachPod(key: "a")
            try dataplane.detachPod(key: "a")
            #expect(try dataplane.attachments().isEmpty)
        }
    }

    @Test(
        "a key that moves to another veth leaves nothing on the old one",
        arguments: [TrafficControlChoice.automatic, .clsactOnly]
    )
    func move(choice: TrafficControlChoice) throws {
        try node.inside {
            let dataplane = try open(choice)
            try dataplane.attachPod(ifindex: first, key: "a")
            try dataplane.attachPod(ifindex: second, key: "a")
            #expect(try dataplane.attachments().map(\.ifindex) == [second])
            // A second program on one tcx hook would be refused, had the first stayed.
            try dataplane.attachPod(ifindex: first, key: "b")
            #expect(try dataplane.attachments().count == 2)
            try dataplane.removeEverything()
        }
    }

    @Test(
        "a veth that is gone shows as such and is detached without complaint",
        arguments: [TrafficControlChoice.automatic, .clsactOnly]
    )
    func gone(choice: TrafficControlChoice) throws {
        try node.inside {
            let dataplane = try open(choice)
            try dataplane.attachPod(ifindex: first, key: "a")
            try node.run("ip link del one")
            #expect(try dataplane.attachments().map(\.ifindex) == [0])
            try dataplane.attachPod(ifindex: second, key: "a")
            #expect(try dataplane.attachments().map(\.ifindex) == [second])
            try dataplane.detachPod(key: "a")
            #expect(try dataplane.attachments().isEmpty)
        }
    }

    @Test("a quick attachment is a filter, and the next call makes it a link; a link stays one")
    func quick() throws {
        try node.inside {
            let dataplane = try open()
            #expect(try dataplane.attachPod(ifindex: first, key: "a", isQuick: true) == .clsact)
            #expect(try dataplane.attachPod(ifindex: first, key: "a", isQuick: true) == .clsact)
            #expect(try dataplane.attachments().map(\.hook) == [.clsact])
            #expect(try dataplane.attachPod(ifindex: first, key: "a") == .tcx)
            #expect(try dataplane.attachments().map(\.hook) == [.tcx])
            #expect(try dataplane.attachPod(ifindex: first, key: "a", isQuick: true) == .tcx)
            #expect(try dataplane.attachments().map(\.hook) == [.tcx])
            try dataplane.detachPod(key: "a")
            let told = try open(.tcxOnly)
            #expect(try told.attachPod(ifindex: second, key: "b", isQuick: true) == .tcx)
        }
    }

    @Test("clsact serves where tcx does not, is adopted, and gives way to tcx")
    func clsact() throws {
        try node.inside {
            let dataplane = try open(.clsactOnly)
            #expect(try dataplane.attachPod(ifindex: first, key: "a") == .clsact)
            let before = try dataplane.attachments()
            #expect(before.map(\.hook) == [.clsact])
            let again = try open(.clsactOnly)
            try again.attachPod(ifindex: first, key: "a")
            let after = try again.attachments()
            #expect(after.map(\.ifindex) == [first])
            #expect(after.map(\.programID) != before.map(\.programID))
            let newer = try open()
            try newer.attachPod(ifindex: first, key: "a")
            #expect(try newer.attachments().map(\.hook) == [.tcx])
        }
        let filters = try node.run("tc filter show dev one ingress")
        #expect(filters.contains("bpf") == false)
    }

    @Test("an uplink gets XDP and tc, moves, and falls back with the reason")
    func uplink() throws {
        try node.inside {
            let dataplane = try open()
            let both = try dataplane.attachUplink(ifindex: first, mode: .nativeXDP)
            #expect(both.mode == .nativeXDP, "\(both)")
            #expect(both.fallbackReason == nil)
            #expect(try dataplane.attachments().map(\.hook) == [.tcx, .nativeXDP])
            let moved = try open().attachUplink(ifindex: second, mode: .nativeXDP)
            #expect(moved.mode == .nativeXDP)
            #expect(
                Set(try dataplane.attachments().map(\.ifindex)) == [first, second],
                "what is attached to another uplink stays"
            )
            try dataplane.detachUplinks(except: [second])
            #expect(try dataplane.attachments().map(\.ifindex) == [second, second])
            let plain = try dataplane.attachUplink(ifindex: second, mode: .trafficControlOnly)
            #expect(plain.mode == .trafficControlOnly)
            #expect(try dataplane.attachments().map(\.role) == [.uplinkIngress])
            // Loopback has no native XDP.
            let fallback = try dataplane.attachUplink(ifindex: 1, mode: .nativeXDP)
            #expect(fallback.mode == .trafficControlOnly)
            guard case .attach(.nativeXDP, 1, let code) = fallback.fallbackReason else {
                Issue.record("no reason, but \(fallback)")
                return
            }
            #expect(code == EOPNOTSUPP || code == EINVAL)
            try dataplane.detachUplinks(except: [1])
            #expect(try dataplane.attachments().map(\.ifindex) == [1])
            try dataplane.detachUplinks()
            #expect(try dataplane.attachments().isEmpty)
        }
    }

    @Test("links of a release that knew one uplink are taken over, XDP's too")
    func earlierNames() throws {
        try node.inside {
            let dataplane = try open()
            _ = try dataplane.attachUplink(ifindex: first, mode: .nativeXDP)
            let links = dataplane.pinDirectory + "/links"
            for name in ["uplink-tc", "uplink-xdp"] {
                #expect(rename("\(links)/\(name)-\(first)", "\(links)/\(name)") == 0)
            }
            let again = try open().attachUplink(ifindex: first, mode: .nativeXDP)
            #expect(again.mode == .nativeXDP, "\(again)")
            try dataplane.detachUplinks(except: [first])
            let names = try FileManager.default.contentsOfDirectory(atPath: links).sorted()
            #expect(names == ["uplink-tc-\(first)", "uplink-xdp-\(first)"])
            #expect(try dataplane.attachments().map(\.ifindex) == [first, first])
        }
    }

    @Test("an interface that is not there is a typed error")
    func noInterface() throws {
        try node.inside {
            let dataplane = try open()
            #expect(throws: BPFError.noSuchInterface(ifindex: 9999)) {
                try dataplane.attachPod(ifindex: 9999, key: "a")
            }
            #expect(try dataplane.attachments().isEmpty)
        }
    }

    @Test("removing everything detaches every program and removes every pin")
    func removal() throws {
        try node.inside {
            let dataplane = try open()
            try dataplane.attachPod(ifindex: first, key: "a")
            _ = try dataplane.attachUplink(ifindex: second, mode: .nativeXDP)
            try open(.clsactOnly).attachPod(ifindex: second, key: "b")
            try dataplane.removeEverything()
            #expect(access(dataplane.pinDirectory, F_OK) != 0)
        }
        #expect(try node.run("ip link show two").contains("xdp") == false)
        #expect(try node.run("tc filter show dev two ingress").contains("bpf") == false)
    }
}
