import Addressing
import CLinux

extension SocketAddress {
    /// The form that the shims take.
    var kernel: genie_socket_address {
        genie_socket_address(high: address.high, low: address.low, port: port, pad0: 0, pad1: 0)
    }

    /// Makes an address from what a shim gave.
    init(_ kernel: genie_socket_address) {
        self.init(address: IPAddress(high: kernel.high, low: kernel.low), port: kernel.port)
    }
}
