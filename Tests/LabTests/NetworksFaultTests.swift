import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Whatever fails, and whenever the daemon dies, a pod leaves nothing",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct NetworksFaultTests {
    /// A chain of three plugins, a plugin alone, and a place in the ring.
    private static let ask = ["cni": "inner,line@data,red/web@own"]

    /// Every plugin of others that the pod has, in its order.
    private static let plugins = ["bridge", "tuning", "portmap", "ptp"]

    private func expect(
        _ networks: Networks,
        _ before: [String: [String]],
        _ what: String
    ) async throws {
        let isClean = try await networks.lab.eventually(seconds: 15) {
            try networks.left() == before
        }
        let after = isClean ? before : try networks.left()
        for (kind, things) in after where things != before[kind] {
            Issue.record("\(what) leaves \(kind) \(things) and not \(before[kind] ?? [])")
        }
    }

    /// Somebody who has nothing to do with it, and must keep everything.
    private func neighbour(_ networks: Networks) throws -> [String: [String]] {
        try networks.lab.script("pod", "add", "node1", "neighbour")
        _ = try AddResult(try networks.call("ADD", "neighbour", annotations: Self.ask))
        return try networks.left()
    }

    @Test("each plugin fails, before and after its work: ADD undoes all, DEL is tried again")
    func failures() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            let before = try neighbour(networks)
            var count = 0
            for plugin in Self.plugins {
                for (verb, phase) in [
                    ("ADD", "before"), ("ADD", "after"), ("DEL", "before"), ("DEL", "after"),
                ] {
                    let what = "\(plugin) \(verb) \(phase) fail"
                    count += 1
                    let pod = "p\(count)"
                    try lab.script("pod", "add", "node1", pod)
                    if verb == "DEL" {
                        _ = try AddResult(try networks.call("ADD", pod, annotations: Self.ask))
                    }
                    try networks.setFault(what)
                    let call = try networks.call(verb, pod, annotations: Self.ask)
                    #expect(call.status != 0 && call.text.contains("told to fail"), "\(what)")
                    #expect(call.text.contains("\"code\":107"), "\(what): \(call.text)")
                    try networks.setFault(nil)
                    if verb == "DEL" {
                        // The networks beside it are undone all the same.
                        let left = try networks.left()
                        #expect(left["addresses"] == before["addresses"], "\(what)")
                        let most = (before["leases"]?.count ?? 0) + 1
                        #expect((left["leases"]?.count ?? 0) <= most, "\(what)")
                    }
                    // An ADD that failed has left nothing even before the runtime's DEL.
                    if verb == "ADD" { try await expect(networks, before, what) }
                    var delete = try networks.call("DEL", pod)
                    for _ in 0..<20 where delete.text.contains("being worked on") {
                        try await Task.sleep(for: .milliseconds(250))
                        delete = try networks.call("DEL", pod)
                    }
                    #expect(delete.status == 0, "\(what): \(delete.text)")
                    try lab.script("pod", "del", "node1", pod)
                    try await expect(networks, before, what)
                }
            }
            print("\(count) failures of plugins left nothing")
        }
    }

    @Test("the daemon is killed before and after each plugin's work: nothing after its restart")
    func kills() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            let before = try neighbour(networks)
            var count = 0
            for plugin in Self.plugins {
                for (verb, phase) in [
                    ("ADD", "before"), ("ADD", "after"), ("DEL", "before"), ("DEL", "after"),
                ] {
                    let what = "\(plugin) \(verb) \(phase) kill"
                    count += 1
                    let pod = "p\(count)"
                    try lab.script("pod", "add", "node1", pod)
                    if verb == "DEL" {
                        _ = try AddResult(try networks.call("ADD", pod, annotations: Self.ask))
                    }
                    try networks.setFault(what)
                    let call = try networks.call(verb, pod, annotations: Self.ask)
                    if verb == "ADD" {
                        #expect(call.status != 0 && call.text.contains("\"code\":11"), "\(what)")
                        // The runtime cleans up while nobody is there to do it.
                        #expect(try networks.call("DEL", pod).status == 0, "\(what)")
                    } else {
                        #expect(call.status == 0 && call.errors.contains("is kept"), "\(what)")
                    }
                    try lab.script("start", "node1")
                    let isBack = try await lab.eventually(seconds: 15) {
                        try lab.ring(1, "endpoints").status == 0
                    }
                    #expect(isBack, "\(what): the daemon is not back")
                    try await expect(networks, before, what)
                    try lab.script("pod", "del", "node1", pod)
                }
            }
            print("\(count) deaths during plugins left nothing")
        }
    }

    @Test("the power goes at every step of a pod with three networks", arguments: ["ADD", "DEL"])
    func powerLoss(verb: String) async throws {
        let power = try PowerSwitch(labID: Lab.testID)
        defer { power.remove() }
        try await Lab.with(nodes: 1, id: Lab.testID, environment: power.environment) { lab in
            let networks = try Networks(lab)
            let before = try neighbour(networks)
            var cuts: [String] = []
            while cuts.count < 200 {
                let pod = "p\(cuts.count)"
                try lab.script("pod", "add", "node1", pod)
                if verb == "DEL" {
                    _ = try AddResult(try networks.call("ADD", pod, annotations: Self.ask))
                }
                try power.cut(after: cuts.count)
                let call = try networks.call(verb, pod, annotations: Self.ask)
                try power.leaveOn()
                let isOver = try await lab.eventually(seconds: 1) {
                    try !lab.script("list").contains("pid")
                }
                if isOver {
                    try power.loseUnsynced()
                    try lab.script("start", "node1", environment: power.environment)
                    let isBack = try await lab.eventually(seconds: 15) {
                        try lab.ring(1, "endpoints").status == 0
                    }
                    #expect(isBack, "\(verb) step \(cuts.count): the daemon is not back")
                }
                if verb == "ADD", call.status != 0 {
                    let what = "\(verb) step \(cuts.count), without a DEL,"
                    try await expect(networks, before, what)
                }
                var delete = try networks.call("DEL", pod)
                for _ in 0..<40 where delete.text.contains("being worked on") {
                    try await Task.sleep(for: .milliseconds(250))
                    delete = try networks.call("DEL", pod)
                }
                #expect(delete.status == 0, "\(verb) step \(cuts.count): \(delete.text)")
                try lab.script("pod", "del", "node1", pod)
                try await expect(networks, before, "\(verb) step \(cuts.count)")
                guard isOver else { break }
                cuts.append(try power.lastCut())
            }
            #expect(cuts.count > 10 && cuts.count < 200, "\(cuts)")
            print("\(verb) was cut off at \(cuts.count) steps: \(cuts.joined(separator: " "))")
        }
    }
}
