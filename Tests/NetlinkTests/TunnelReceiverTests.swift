import Foundation
import Netlink
import Testing

@Suite(
    "A device that merges tunnel packets",
    .serialized,
    .enabled(if: getuid() == 0, "making interfaces needs root")
)
struct TunnelReceiverTests {
    @Test("it is made down, once, and a name that cannot be is refused")
    func create() throws {
        let name = "mrg\(getpid() % 100_000)"
        // Far from ports that anything here may use.
        let receiver = TunnelReceiver(name: name, kind: .vxlan, port: 46_081)
        try receiver.create()
        defer { _ = try? Links.delete(name) }
        #expect(try !Links.info(name).isUp)
        #expect(throws: NetlinkError.self) { try receiver.create() }
        try Links.setUp(name)
        #expect(try Links.info(name).isUp)
        #expect(throws: NetlinkError.invalidName("a/b")) {
            try TunnelReceiver(name: "a/b", kind: .vxlan, port: 1).create()
        }
    }
}
