import Determinism
import RingRegisters
import Testing

@testable import PeerService

@Suite("PeerService: registers that are followed")
struct FollowedRegisterTests {
    private let key = "app/a"

    @Test("who waits hears of a change at once, and of none when the time is over")
    func waiting() async throws {
        try await withLonePeer { service in
            let began = ContinuousClock.now
            #expect(await service.waitForRegister(key, after: 0, limit: .milliseconds(50)))
            #expect(began.duration(to: .now) >= .milliseconds(50))
            async let isTold = service.waitForRegister(key, after: 0, limit: .seconds(60))
            while await !service.hasWaiter(key) { await Task.yield() }
            let start = ContinuousClock.now
            _ = try await service.compareAndSet(key, expectedVersion: 0, content: [1])
            #expect(await isTold)
            #expect(start.duration(to: .now) < .seconds(5))
            #expect(await service.followed(register: key)?.payload == [1])
        }
    }

    @Test("a change of a register that the node follows yields once it is known")
    func yields() async throws {
        try await withLonePeer { service in
            #expect(await service.follow(registers: SortedSet([key, "app/b"])).isEmpty)
            _ = try await service.compareAndSet(key, expectedVersion: 0, content: [7])
            for await _ in service.registerChanges {
                if await service.followed(register: key)?.payload == [7] { break }
            }
            #expect(await service.follow(registers: SortedSet(["app/b"])).isEmpty)
            #expect(await service.registersFollowed() == 1)
            #expect(await service.followed(register: key) == nil)
        }
    }

    @Test("those who ask leave room for what the node itself follows")
    func room() async throws {
        try await withLonePeer { service in
            for number in 0..<PeerService.registersAskedMax {
                let isFollowed = await service.waitForRegister(
                    "asked/\(number)",
                    after: 0,
                    limit: .zero
                )
                #expect(isFollowed)
            }
            #expect(await !service.waitForRegister(key, after: 0, limit: .zero))
            #expect(await service.follow(registers: SortedSet([key])).isEmpty)
        }
    }

    @Test("a register that only a client who left has asked for is followed no longer")
    func clientLeft_isUnfollowed() async throws {
        try await withLonePeer { service in
            let waiting = Task {
                await service.waitForRegister(key, after: 0, limit: .seconds(60))
            }
            while await !service.hasWaiter(key) { await Task.yield() }
            waiting.cancel()
            #expect(await waiting.value)
            #expect(await service.registersFollowed() == 0)
        }
    }

    @Test("what this node has read is known as well as what it was told")
    func read_isKnown() async throws {
        try await withLonePeer { service in
            _ = try await service.compareAndSet(key, expectedVersion: 0, content: [1])
            _ = await service.follow(registers: SortedSet([key]))
            let value = try await service.read(key)
            #expect(await service.followed(register: key)?.version == value.version)
        }
    }
}

extension PeerService {
    fileprivate func hasWaiter(_ key: String) -> Bool {
        !(registers[key]?.waiters.isEmpty ?? true)
    }
}
