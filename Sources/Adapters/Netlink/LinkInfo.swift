package import Addressing
internal import CLinux
package import Wire

/// What the kernel says about one interface.
package struct LinkInfo: Hashable, Sendable {
    /// The interface's number, unique in its namespace.
    package let index: UInt32
    /// The interface's name.
    package let name: String
    /// The Ethernet address; nil where the interface has none.
    package let mac: MACAddress?
    /// The largest packet, in bytes, without the Ethernet header.
    package let mtu: UInt32
    /// Whether the interface is set up.
    package let isUp: Bool
    /// Whether the other end is there and up.
    package let hasCarrier: Bool
    /// The kind of a virtual interface such as `veth`; nil for devices and the loopback.
    package let kind: String?
    /// The other end of a veth, by its number in the other namespace; nil where there is none.
    package let peerIndex: UInt32?
    /// The number of queues that the interface was made with, for sending.
    package let transmitQueueCount: UInt32?

    /// Reads an `RTM_NEWLINK` message; nil for messages of other types.
    ///
    /// ```
    ///   off size field of struct ifinfomsg, host byte order
    ///    0   1   family        4   4   index
    ///    2   2   device type   8   4   flags     12   4   changed flags
    /// ```
    package init?(_ message: Message) throws(WireError) {
        guard message.type == RTM_NEWLINK else { return nil }
        var reader = ByteReader(message.payload)
        _ = try reader.readNative("link family", as: UInt32.self)
        index = try reader.readNative("link index")
        guard (1...UInt32(Int32.max)).contains(index) else { throw .malformed(field: "link index") }
        let flags = try reader.readNative("link flags", as: UInt32.self)
        _ = try reader.readNative("changed link flags", as: UInt32.self)
        let attributes = try Attributes(&reader)
        guard let name = try attributes.text(IFLA_IFNAME, "link name"), !name.isEmpty else {
            throw .malformed(field: "link name")
        }
        self.name = name
        mac = attributes[IFLA_ADDRESS].flatMap { MACAddress(bytes: $0) }
        mtu = try attributes.number(IFLA_MTU, "link MTU") ?? 0
        isUp = flags & interfaceUp != 0
        hasCarrier = flags & interfaceLowerUp != 0
        kind = try attributes.nested(IFLA_LINKINFO)?.text(IFLA_INFO_KIND, "link kind")
        peerIndex = try attributes.number(IFLA_LINK, "peer index").flatMap { $0 == 0 ? nil : $0 }
        transmitQueueCount = try attributes.number(IFLA_NUM_TX_QUEUES, "queue count")
    }
}

extension InterfaceAddress {
    /// Reads an `RTM_NEWADDR` message; nil for other types and for families other than IP.
    ///
    /// ```
    ///   off size field of struct ifaddrmsg
    ///    0   1   family      2   1   flags     4   4   index of the link, host byte order
    ///    1   1   length      3   1   scope
    /// ```
    static func read(
        _ message: Message
    ) throws(WireError) -> (address: InterfaceAddress, index: UInt32)? {
        guard message.type == RTM_NEWADDR else { return nil }
        var reader = ByteReader(message.payload)
        _ = try reader.readNative("address family", as: UInt8.self)
        let length = try reader.readNative("prefix length", as: UInt8.self)
        _ = try reader.readNative("address flags", as: UInt16.self)
        let index = try reader.readNative("link index", as: UInt32.self)
        let attributes = try Attributes(&reader)
        // IFA_ADDRESS is the other end on point-to-point links; IFA_LOCAL is ours where present.
        guard let bytes = attributes[IFA_LOCAL] ?? attributes[IFA_ADDRESS],
            let address = IPAddress(familyBytes: bytes)
        else { return nil }
        guard let whole = InterfaceAddress(address, prefixLength: Int(length)) else {
            throw .malformed(field: "prefix length")
        }
        return (whole, index)
    }
}
