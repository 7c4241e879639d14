import Addressing
import Foundation
import Logging
import PeerTransport
import SQLiteRows
import Testing

@testable import PeerService

@Suite("PeerService: joining")
struct JoinTests {
    @Test("Join_Cancel: a join whose seeds never answer ends when the peer is stopped")
    func cancel() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try RowStore(path: folder.appending(path: "node.db").path)
        let loopback = IPAddress(v4: 0x7f00_0001)
        let service = PeerService(
            settings: PeerSettings(
                listen: SocketAddress(
                    address: loopback,
                    port: UInt16.random(in: 20_000...30_000)
                ),
                // Several, of which none is there; each is dialled again and again.
                seeds: (1...3).map { SocketAddress(address: loopback, port: $0) },
                isFounder: false,
                secret: .insecure,
                nodeName: "one",
                zone: "",
                metadata: ""
            ),
            store: store,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        try await service.open()
        let join = Task { try await service.join() }
        while await service.joined == nil { await Task.yield() }
        await service.stop()
        await #expect(throws: CancellationError.self) { try await join.value }
        #expect(await service.snapshot() == nil)
        try store.close()
    }
}
