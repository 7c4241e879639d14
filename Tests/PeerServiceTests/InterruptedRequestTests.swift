import Addressing
import Foundation
import Logging
import PeerTransport
import SQLiteRows
import Testing

@testable import PeerService

@Suite("PeerService: requests that the end of the peer interrupts")
struct InterruptedRequestTests {
    private struct Failure: Error {}

    @Test("a change that was begun is told as indeterminate, a read as unavailable")
    func interrupted() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try RowStore(path: folder.appending(path: "node.db").path)
        let listen = SocketAddress(
            address: IPAddress(v4: 0x7f00_0001),
            port: UInt16.random(in: 20_000...30_000)
        )
        let service = PeerService(
            settings: PeerSettings(
                listen: listen,
                seeds: [],
                isFounder: true,
                secret: .insecure,
                nodeName: "one",
                zone: "",
                metadata: ""
            ),
            store: store,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        try await service.open()
        try await service.join()
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
        await service.stop()
        try store.close()
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
