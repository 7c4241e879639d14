import Addressing
import Determinism
import Dispatch
import RingPeer
import RingRecords
import Testing

@testable import PeerService

@Suite("PeerService: requests that the end of the peer interrupts")
struct InterruptedRequestTests {
    private struct Failure: Error {}

    @Test("a change that was begun is told as indeterminate, a read as unavailable")
    func interrupted() async throws {
        try await withLonePeer { service in
            // Nothing becomes durable from now on, so nothing is answered.
            let storage = await service.storageQueue
            storage.suspend()
            async let change = outcome(of: service)
            async let read = failure(of: service)
            while await service.callers.count < 2 { await Task.yield() }
            await service.fail(Failure())
            #expect(await change == .indeterminate)
            #expect(await read == .unavailable)
            storage.resume()
        }
    }

    @Test("while the disk stands still, what waits for it is bounded, and goes on afterwards")
    func diskStandsStill() async throws {
        try await withLonePeer { service in
            let storage = await service.storageQueue
            storage.suspend()
            let records = (0..<64).map { number in
                OriginSet.Record(key: "\(number)", content: [UInt8](repeating: 7, count: 4_000))
            }
            var asked = 0
            await withTaskGroup(of: Void.self) { group in
                while await !service.unwritten.isFull, asked < 10_000 {
                    let topic = Topic("red/\(asked)")
                    group.addTask { _ = await service.publish(topic, records) }
                    asked += 1
                    while await service.turnCount < asked { await Task.yield() }
                }
                #expect(await service.unwritten.isFull)
                #expect(await service.unwritten.length < WriteBacklog.lengthMax + 1_000_000)
                #expect(await failure(of: service) == .unavailable)
                storage.resume()
            }
            #expect(await failure(of: service) == nil)
        }
    }

    @Test("a frame that waits for the disk counts as much as a row")
    func framesCount() {
        var backlog = WriteBacklog()
        let bytes = [UInt8](repeating: 1, count: WriteBacklog.lengthMax)
        let address = SocketAddress(address: IPAddress(v4: 0x7f00_0001), port: 1)
        let frame = PeerEffect.frame(bytes, to: NodeID(high: 1, low: 1), at: address)
        backlog.add([], then: [])
        #expect(!backlog.isFull)
        backlog.add([], then: [frame])
        #expect(backlog.isFull && backlog.takeAll().count == 2 && !backlog.isFull)
    }

    private func outcome(of service: PeerService) async -> RegisterFailure? {
        do throws(RegisterFailure) {
            _ = try await service.compareAndSet("app/a", expectedVersion: 0, content: [1])
            return nil
        } catch {
            return error
        }
    }

    private func failure(of service: PeerService) async -> RegisterFailure? {
        do throws(RegisterFailure) {
            _ = try await service.read("app/b")
            return nil
        } catch {
            return error
        }
    }
}
