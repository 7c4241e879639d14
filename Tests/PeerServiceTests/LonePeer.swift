import Addressing
import Foundation
import Logging
import PeerTransport
import SQLiteRows

@testable import PeerService

/// A ring of one on loopback, with a database that is gone afterwards.
func withLonePeer(_ body: (PeerService) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let store = try RowStore(path: folder.appending(path: "node.db").path)
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
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    try await service.open()
    try await service.join()
    do {
        try await body(service)
    } catch {
        await service.stop()
        throw error
    }
    await service.stop()
    try store.close()
}
