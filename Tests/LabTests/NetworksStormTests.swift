import Foundation
import LabNet
import LocalAPI
import SQLiteRows
import Synchronization
import Testing

@Suite(
    "Pods come and go while the daemon is killed again and again",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root"),
    .enabled(if: Networks.isStockThere, "containernetworking-plugins is not installed")
)
struct NetworksStormTests {
    /// How many pods: 120 in daily work, `GENIE_STORM_PODS=10000` for the long run.
    private static let pods =
        ProcessInfo.processInfo.environment["GENIE_STORM_PODS"].flatMap { Int($0) } ?? 120

    /// How often ADD is tried for a pod, a fifth of a second apart, while the answer is that it may
    /// be tried again; DEL as well.
    private static let attempts = 200

    /// What the workers saw.
    private final class Ledger: Sendable {
        struct State {
            var next = 0
            var live: Set<String> = []
            var attached = 0
            var refused = 0
            var faults: [String] = []
        }
        let state = Mutex(State())

        func take(_ pods: Int) -> Int? {
            state.withLock { state in
                guard state.next < pods else { return nil }
                state.next += 1
                return state.next
            }
        }

        func record(_ fault: String) { state.withLock { $0.faults.append(fault) } }
    }

    @Test("no address is given twice, nothing is left, and the journal does not grow")
    func storm() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            let networks = try Networks(lab)
            // Addresses rest for a minute: a /24 would not do for so many pods.
            let group = try lab.ring(1, "groups", "create", "red/own", "--subnet", "10.64.0.0/16")
            #expect(group.status == 0, "\(group.errors)")
            let before = try networks.left()
            let ledger = Ledger()
            // Threads of their own: every call waits for a process. Pods live for half a second on
            // average, however many there are to be.
            let workers = (0..<(Self.pods > 1_000 ? 48 : 8)).map { number in
                Thread { Self.work(number, networks, ledger) }
            }
            for worker in workers { worker.start() }
            var kills = 0
            while workers.contains(where: { !$0.isFinished }) {
                try await Task.sleep(for: .milliseconds(700 + 400 * (kills % 7)))
                if (try? lab.script("kill", "node1")) != nil { kills += 1 }
                try lab.script("start", "node1")
                _ = try await lab.eventually(seconds: 15) {
                    try lab.ring(1, "endpoints").status == 0
                }
            }
            let isClean = try await lab.eventually(seconds: 30) { try networks.left() == before }
            let left = try networks.left()
            #expect(isClean, "\(left) and not \(before)")
            let seen = ledger.state.withLock { $0 }
            #expect(seen.faults.isEmpty, "\(seen.faults.prefix(5))")
            #expect(seen.attached == Self.pods && kills > 0)
            #expect(try lab.ring(1, "ipam", "check").status == 0)
            try lab.script("stop", "node1")
            let store = try RowStore(path: "/run/genie-lab/\(lab.id)/node1/data/genie.db")
            let rows = try (0..<64).map { try store.rows(space: $0) }
            try store.close()
            expectBounded(rows)
            let bytes = rows.joined().reduce(0) { $0 + $1.key.count + ($1.value?.count ?? 0) }
            print(
                "\(Self.pods) pods, \(seen.refused) times told to try again, \(kills) deaths, "
                    + "\(bytes) bytes in \(rows.joined().count) rows of the database"
            )
        }
    }

    /// Nothing is left of attachments (10) and pods (13), and what else grows belongs to blocks.
    ///
    /// It is what a block has: a register (3), a row (5), and one for each of its 64
    /// addresses that was given out (6). These go with the block, which goes once all have rested;
    /// deaths seconds apart let none of them, since each start lets them rest anew.
    private func expectBounded(_ rows: [[StoredRow]]) {
        let blocks = rows[5].count
        let counts = rows.map(\.count)
        #expect(rows[10].isEmpty && rows[13].isEmpty, "\(counts)")
        #expect(rows[6].count <= 64 * blocks && rows[3].count <= blocks + 16, "\(counts)")
        let others = counts.indices.filter { ![3, 5, 6].contains($0) }.map { counts[$0] }
        #expect(others.reduce(0, +) < 32, "\(counts)")
    }

    /// Makes pods and takes them away, as a runtime does: whatever ADD says, DEL follows.
    private static func work(_ number: Int, _ networks: Networks, _ ledger: Ledger) {
        while let index = ledger.take(pods) {
            let pod = "s\(index)"
            do {
                try networks.lab.script("pod", "add", "node1", pod)
                let ask = index % 2 == 0 ? "inner,red/own@own" : "red/own,line@data"
                for attempt in 1...attempts {
                    let isOver = try add(pod, ask, networks, ledger)
                    try delete(pod, networks, ledger)
                    if isOver { break }
                    if attempt == attempts { ledger.record("\(pod) is refused for ever") }
                    Thread.sleep(forTimeInterval: 0.2)
                }
                try networks.lab.script("pod", "del", "node1", pod)
            } catch {
                ledger.record("\(pod): \(error)")
            }
        }
    }

    /// Whether ADD need not be tried again.
    private static func add(
        _ pod: String,
        _ ask: String,
        _ networks: Networks,
        _ ledger: Ledger
    ) throws -> Bool {
        let add = try networks.call("ADD", pod, annotations: ["cni": ask])
        guard add.status == 0 else {
            let isRefused = add.text.contains("\"code\":11")
            if isRefused {
                ledger.state.withLock { $0.refused += 1 }
            } else {
                ledger.record("ADD of \(pod): \(add.text)")
            }
            return !isRefused
        }
        let addresses = try AddResult(add).ips.map(\.address)
        ledger.state.withLock { state in
            state.attached += 1
            for address in addresses where !state.live.insert(address).inserted {
                state.faults.append("\(pod) has \(address) of another")
            }
        }
        // The pod lives for a while, through a death of the daemon or not.
        Thread.sleep(forTimeInterval: Double.random(in: 0...1))
        // Before the DEL: from then on others may have them.
        ledger.state.withLock { $0.live.subtract(addresses) }
        return true
    }

    private static func delete(_ pod: String, _ networks: Networks, _ ledger: Ledger) throws {
        for attempt in 0... {
            let delete = try networks.call("DEL", pod)
            if delete.status == 0 { break }
            guard attempt < attempts, delete.text.contains("\"code\":11") else {
                ledger.record("DEL of \(pod): \(delete.text)")
                break
            }
            Thread.sleep(forTimeInterval: 0.2)
        }
    }
}
