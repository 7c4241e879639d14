import Addressing
import Determinism
import Wire

extension ByteWriter {
    mutating func write(_ id: NodeID) {
        write(id.high)
        write(id.low)
    }

    mutating func write(_ address: SocketAddress) {
        write(address.address.high)
        write(address.address.low)
        write(address.port)
    }
}

extension ByteReader {
    mutating func readNodeID(_ field: StaticName) throws(WireError) -> NodeID {
        NodeID(high: try readInteger(field), low: try readInteger(field))
    }

    mutating func readSocketAddress(_ field: StaticName) throws(WireError) -> SocketAddress {
        let address = IPAddress(high: try readInteger(field), low: try readInteger(field))
        return SocketAddress(address: address, port: try readInteger(field))
    }
}
