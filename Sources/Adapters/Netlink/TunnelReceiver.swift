internal import CLinux

/// A tunnel device of the kernel that no packet is to come through: while it is up, the kernel
/// merges what arrives at its UDP port by the inner packets (GRO), before tc sees it.
///
/// Geneve without options and VXLAN have headers of the same size, and merging compares them as
/// they are. So a kernel without the one can merge with the other.
/// - Kernel: `drivers/net/geneve.c`, `drivers/net/vxlan`; both have merged since Linux 4.
package struct TunnelReceiver: Hashable, Sendable {
    /// The kernel's device.
    package enum Kind: String, CaseIterable, Sendable {
        /// What Genie Ring's packets are.
        case geneve
        /// What merges them as well.
        case vxlan
    }

    /// The interface's name.
    package let name: String
    /// The device.
    package let kind: Kind
    /// The UDP port.
    package let port: UInt16

    /// Describes a receiver.
    package init(name: String, kind: Kind, port: UInt16) {
        self.name = name
        self.kind = kind
        self.port = port
    }

    /// Makes the interface, down.
    ///
    /// - Throws: `.refused` with EOPNOTSUPP where the kernel has no such device, with EEXIST where
    ///   there is such an interface already, or another tunnel with this port.
    package func create() throws(NetlinkError) {
        try LinkName.check(name)
        try NetlinkSocket(netnsPath: nil).perform([.createTunnelReceiver(self)])
    }
}

extension Request {
    /// Makes a tunnel device that takes its key from each packet ("external").
    static func createTunnelReceiver(_ receiver: TunnelReceiver) -> Request {
        var body = MessageWriter()
        body.writeLinkHeader()
        body.attribute(IFLA_IFNAME, text: receiver.name)
        body.attribute(IFLA_LINKINFO) { info in
            info.attribute(IFLA_INFO_KIND, text: receiver.kind.rawValue)
            info.attribute(IFLA_INFO_DATA) { data in
                let port = [UInt8(receiver.port >> 8), UInt8(receiver.port & 0xff)]
                switch receiver.kind {
                case .geneve:
                    data.attribute(IFLA_GENEVE_COLLECT_METADATA, raw: [UInt8]())
                    data.attribute(IFLA_GENEVE_PORT, raw: port)
                case .vxlan:
                    data.attribute(IFLA_VXLAN_COLLECT_METADATA, raw: [1])
                    data.attribute(IFLA_VXLAN_PORT, raw: port)
                }
            }
        }
        return Request(
            .createTunnelReceiver(name: receiver.name),
            type: RTM_NEWLINK,
            flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            body: body
        )
    }
}
