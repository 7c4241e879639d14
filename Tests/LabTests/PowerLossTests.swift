import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "A node loses its power at every step of ADD and DEL",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct PowerLossTests {
    /// What the runtime sees of an interrupted call, and what must hold afterwards.
    private enum Verb: String, CaseIterable {
        case add = "ADD"
        case delete = "DEL"

        /// Journal rows and addresses, links, maps and programs, pins.
        var kinds: Set<String> {
            self == .add ? ["sync", "netlink", "bpf"] : ["sync", "netlink", "bpf", "unpin"]
        }
    }

    @Test(
        "after the restart a pod is whole or gone, and DEL leaves nothing",
        arguments: Verb.allCases.map(\.rawValue)
    )
    func everyStep(name: String) async throws {
        let verb = try #require(Verb(rawValue: name))
        let power = try PowerSwitch(labID: Lab.testID)
        defer { power.remove() }
        try await Lab.with(nodes: 1, id: Lab.testID, environment: power.environment) { lab in
            #expect(try lab.ring(1, "vpcs", "create", "red").status == 0)
            let made = try lab.ring(1, "groups", "create", "red/web", "--subnet", "10.20.0.0/22")
            #expect(made.status == 0, "\(made.errors)")
            // Somebody who has nothing to do with it, and must keep everything.
            let neighbour = try lab.attach(1, "neighbour", "red")
            let baseline = try Footprint(lab)
            var cuts: [String] = []
            // What the daemon does by itself counts as well, so that a step may slip by: again then.
            for _ in 0..<3 where !verb.kinds.isSubset(of: cuts) {
                var step = 0
                while step < 200, try await cutOff(verb, at: step, lab, power) {
                    step += 1
                    cuts.append(try power.lastCut())
                    let what = "\(name) step \(step), \(cuts.last ?? "")"
                    try await expectNothingLeft(lab, baseline, neighbour, what)
                }
                #expect(step < 200)
            }
            #expect(verb.kinds.isSubset(of: cuts), "\(cuts)")
            print("\(name) was cut off at \(cuts.count) steps: \(cuts.joined(separator: " "))")
        }
    }

    /// Takes the power away at one step of a call for a pod, and has the node back.
    ///
    /// - Returns: false when the call ended before it came to that step.
    private func cutOff(
        _ verb: Verb,
        at step: Int,
        _ lab: Lab,
        _ power: PowerSwitch
    ) async throws -> Bool {
        let name = "p\(step)"
        try lab.script("pod", "add", "node1", name)
        if verb == .delete {
            let add = try lab.cni("ADD", 1, name, "red")
            #expect(add.status == 0, "\(add.text)")
        }
        try power.cut(after: step)
        let call = try lab.cni(verb.rawValue, 1, name, "red")
        try power.leaveOn()
        let hasEnded = try await lab.eventually(seconds: 1) { try !isRunning(lab) }
        if hasEnded {
            try power.loseUnsynced()
            try lab.script("start", "node1", environment: power.environment)
            let isBack = try await lab.eventually(seconds: 15) {
                try lab.ring(1, "endpoints").status == 0
            }
            #expect(isBack, "\(verb) step \(step): the daemon is not back")
        }
        // An ADD that was not answered with success is undone, and so is its pod for the runtime.
        if verb == .add, call.status != 0 {
            let isSettled = try await lab.eventually(seconds: 10) {
                let held = try lab.ring(1, "ipam", as: IPAMStatus.self).subnets.first?.used
                let check = try lab.ring(1, "ipam", "check")
                return held.map { $0 <= 2 } == true && check.status == 0
            }
            #expect(isSettled, "\(verb) step \(step): addresses are not settled")
        }
        // A runtime tries again while the daemon still finishes what was cut off.
        var delete = try lab.cni("DEL", 1, name, "red")
        for _ in 0..<20 where delete.status != 0 && delete.text.contains("being worked on") {
            try await Task.sleep(for: .milliseconds(250))
            delete = try lab.cni("DEL", 1, name, "red")
        }
        #expect(delete.status == 0, "\(verb) step \(step): \(delete.text)")
        try lab.script("pod", "del", "node1", name)
        return hasEnded
    }

    private func isRunning(_ lab: Lab) throws -> Bool {
        try lab.script("list").split(separator: "\n")
            .contains { $0.hasPrefix("node1") && $0.contains("pid") }
    }

    private func expectNothingLeft(
        _ lab: Lab,
        _ baseline: Footprint,
        _ neighbour: Pod,
        _ what: String
    ) async throws {
        let isClean = try await lab.eventually(seconds: 10) { try Footprint(lab) == baseline }
        let left = try Footprint(lab)
        #expect(isClean, "\(what) leaves \(left) instead of \(baseline)")
        let check = try lab.ring(1, "ipam", "check")
        #expect(check.status == 0, "\(what): \(check.text)\(check.errors)")
        #expect(left.endpoints == ["\(neighbour.name) \(neighbour.address)"])
    }
}

/// Everything that pods take of a node.
private struct Footprint: Hashable {
    let endpoints: [String]
    let addresses: Int
    let mapEntries: [String]
    let programs: [String]
    let links: [String]

    init(_ lab: Lab) throws {
        endpoints = try lab.ring(1, "endpoints", as: EndpointList.self).endpoints
            .map { "\($0.containerID) \($0.address)" }.sorted()
        addresses = try lab.ring(1, "ipam", as: IPAMStatus.self).subnets.reduce(0) { $0 + $1.used }
        let dataplane = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
        mapEntries = dataplane.maps
            .filter { ["gr_port_r2", "gr_endpoint_r2", "gr_vni_r1"].contains($0.name) }
            .map { "\($0.name) \($0.entries)" }
        programs = dataplane.attachments.map(\.program).sorted()
        links = try lab.run(on: 1, ["ip", "-br", "link"]).text.split(separator: "\n")
            .compactMap { $0.split(separator: " ").first.map(String.init) }
            .filter { $0.hasPrefix("gr") }.sorted()
    }
}
