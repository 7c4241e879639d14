package import Addressing
internal import CLinux
internal import Glibc

/// The two ends of a veth pair: one stays on the node, the other is born inside the pod.
package struct VethPair: Hashable, Sendable {
    /// The name of the end on the node.
    package let hostName: String
    /// The Ethernet address of the end on the node.
    package let hostMAC: MACAddress
    /// The name of the end in the pod.
    package let podName: String
    /// The Ethernet address of the end in the pod.
    package let podMAC: MACAddress
    /// The MTU of both ends, in bytes.
    package let mtu: UInt32
    /// The number of queues each way at both ends; nil leaves it to the kernel, which uses one.
    package let queueCount: UInt32?

    /// Describes a pair.
    package init(
        hostName: String,
        hostMAC: MACAddress,
        podName: String,
        podMAC: MACAddress,
        mtu: UInt32,
        queueCount: UInt32? = nil
    ) {
        self.hostName = hostName
        self.hostMAC = hostMAC
        self.podName = podName
        self.podMAC = podMAC
        self.mtu = mtu
        self.queueCount = queueCount
    }
}

extension Request {
    /// Makes a veth pair, down, with the pod's end in the namespace open as `podNamespace`.
    ///
    /// Neither end may carry IFF_UP here: the kernel would answer ENOTCONN, because the ends do not
    /// know each other yet.
    package static func createVeth(_ pair: VethPair, podNamespace: Int32) -> Request {
        var body = MessageWriter()
        body.writeLinkHeader()
        writeEnd(pair.hostName, pair.hostMAC, of: pair, to: &body)
        body.attribute(IFLA_LINKINFO) { info in
            info.attribute(IFLA_INFO_KIND, text: "veth")
            info.attribute(IFLA_INFO_DATA) { data in
                data.attribute(VETH_INFO_PEER) { peer in
                    peer.writeLinkHeader()
                    writeEnd(pair.podName, pair.podMAC, of: pair, to: &peer)
                    peer.attribute(IFLA_NET_NS_FD, number: UInt32(bitPattern: podNamespace))
                }
            }
        }
        return Request(
            .createVeth(hostName: pair.hostName, podName: pair.podName),
            type: RTM_NEWLINK,
            flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            body: body
        )
    }

    /// Brings an interface up.
    package static func setUp(index: UInt32) -> Request {
        var body = MessageWriter()
        body.writeLinkHeader(index: index, flags: interfaceUp, change: interfaceUp)
        return Request(.setUp(index: index), type: RTM_SETLINK, flags: NLM_F_ACK, body: body)
    }

    /// Removes an interface, and with a veth its other end.
    package static func deleteLink(name: String) -> Request {
        var body = MessageWriter()
        body.writeLinkHeader()
        writeName(name, to: &body)
        return Request(.deleteLink(name: name), type: RTM_DELLINK, flags: NLM_F_ACK, body: body)
    }

    /// The same of an interface whose name may have changed.
    package static func deleteLink(index: UInt32) -> Request {
        var body = MessageWriter()
        body.writeLinkHeader(index: index)
        return Request(
            .deleteLinkAt(index: index),
            type: RTM_DELLINK,
            flags: NLM_F_ACK,
            body: body
        )
    }

    /// Reads one interface.
    package static func readLink(name: String) -> Request {
        var body = MessageWriter()
        body.writeLinkHeader()
        writeName(name, to: &body)
        body.attribute(IFLA_EXT_MASK, number: UInt32(RTEXT_FILTER_SKIP_STATS))
        return Request(.readLink(name: name), type: RTM_GETLINK, flags: NLM_F_ACK, body: body)
    }

    /// Reads every interface of the namespace.
    package static func listLinks() -> Request {
        var body = MessageWriter()
        body.writeLinkHeader()
        body.attribute(IFLA_EXT_MASK, number: UInt32(RTEXT_FILTER_SKIP_STATS))
        return Request(.listLinks, type: RTM_GETLINK, flags: NLM_F_DUMP, body: body)
    }

    private static func writeEnd(
        _ name: String,
        _ mac: MACAddress,
        of pair: VethPair,
        to body: inout MessageWriter
    ) {
        writeName(name, to: &body)
        body.attribute(IFLA_ADDRESS, mac: mac)
        body.attribute(IFLA_MTU, number: pair.mtu)
        guard let queueCount = pair.queueCount else { return }
        body.attribute(IFLA_NUM_TX_QUEUES, number: queueCount)
        body.attribute(IFLA_NUM_RX_QUEUES, number: queueCount)
    }

    private static func writeName(_ name: String, to body: inout MessageWriter) {
        precondition(LinkName.isValid(name), "names are checked where they come in")
        body.attribute(IFLA_IFNAME, text: name)
    }
}

/// The flag of an interface that may send and receive (IFF_UP, netdevice(7)).
let interfaceUp: UInt32 = 0x1

/// The flag of an interface whose other end is there (IFF_LOWER_UP, netdevice(7)).
let interfaceLowerUp: UInt32 = 0x1_0000
