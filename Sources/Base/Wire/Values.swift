package import Addressing
package import Determinism

extension ByteWriter {
    /// Appends the 16 bytes of an identity.
    package mutating func write(_ id: NodeID) {
        write(id.high)
        write(id.low)
    }

    /// Appends the 16 bytes of an address, IPv4 mapped.
    package mutating func write(_ address: IPAddress) {
        write(address.high)
        write(address.low)
    }

    /// Appends an address and its port, 18 bytes.
    package mutating func write(_ address: SocketAddress) {
        write(address.address)
        write(address.port)
    }
}

extension ByteReader {
    /// Reads the 16 bytes of an identity.
    package mutating func readNodeID(_ field: StaticName) throws(WireError) -> NodeID {
        NodeID(high: try readInteger(field), low: try readInteger(field))
    }

    /// Reads the 16 bytes of an address.
    package mutating func readIPAddress(_ field: StaticName) throws(WireError) -> IPAddress {
        IPAddress(high: try readInteger(field), low: try readInteger(field))
    }

    /// Reads an address and its port.
    package mutating func readSocketAddress(_ field: StaticName) throws(WireError) -> SocketAddress
    {
        SocketAddress(address: try readIPAddress(field), port: try readInteger(field))
    }
}
