import Addressing
import Determinism
import Foundation
import Logging
import PeerService
import PeerTransport
import RingIPAM
import RingPeer
import SQLiteRows
import Statistics

/// Addresses given out in parallel by one real peer: its queue, its core, its database on disk.
///
/// The peer runs in this process, because a pod's address cannot be asked for without a pod.
struct AllocationBench {
    let directory: String
    let rounds: Int
    /// Allocations that are asked for at once.
    static let parallelCount = 64
    /// Pools that they are of: so many that no block runs out, which would take a claim.
    static let poolCount = 2

    /// Spans from asking until the address was there durably.
    func run() throws -> [Span] {
        let box = Box()
        let done = DispatchSemaphore(value: 0)
        Task {
            do { box.result = .success(try await measure()) } catch { box.result = .failure(error) }
            done.signal()
        }
        done.wait()
        return try box.result.get()
    }

    /// Written before the semaphore is signalled, read after it was waited for.
    private final class Box: @unchecked Sendable {
        var result: Result<[Span], any Error> = .success([])
    }

    private func measure() async throws -> [Span] {
        let store = try RowStore(path: "\(directory)/allocation.db")
        let service = PeerService(
            settings: PeerSettings(
                listen: SocketAddress(
                    address: IPAddress(v4: 0x7f00_0001),
                    port: UInt16.random(in: 20_000...30_000)
                ),
                seeds: [],
                isFounder: true,
                secret: .insecure,
                nodeName: "one",
                zone: "",
                metadata: ""
            ),
            store: store,
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        )
        try await service.open()
        try await service.join()
        var spans: [Span] = []
        for round in 0..<rounds { spans += try await burst(service, round) }
        await service.stop()
        try store.close()
        return spans
    }

    private func burst(_ service: PeerService, _ round: Int) async throws -> [Span] {
        let plans = (0..<Self.poolCount).compactMap { index in
            Prefix("10.1.0.0/16").map {
                BlockPlan(pool: UInt64(round * Self.poolCount + index + 1), subnet: $0)
            }
        }
        // The node has a block and a spare one, as after its first pod.
        for plan in plans {
            let holder = AddressHolder(containerID: "first", interfaceName: "eth0")
            _ = try await Self.allocate(service, plan, holder)
        }
        try await Task.sleep(for: .milliseconds(100))
        return try await withThrowingTaskGroup(of: Span.self) { group in
            for number in 0..<Self.parallelCount {
                let plan = plans[number % plans.count]
                let holder = AddressHolder(containerID: "\(number)", interfaceName: "eth0")
                group.addTask { try await Self.allocate(service, plan, holder) }
            }
            var spans: [Span] = []
            for try await span in group { spans.append(span) }
            return spans
        }
    }

    private static func allocate(
        _ service: PeerService,
        _ plan: BlockPlan,
        _ holder: AddressHolder
    ) async throws -> Span {
        let start = Monotonic.now
        let outcome = await service.allocate([plan], holder)
        let span = Monotonic.now.since(start)
        guard case .assigned = outcome else {
            throw BenchError.unreadable(what: "an allocation", text: "\(outcome)")
        }
        return span
    }
}
