internal import CLinux
internal import Glibc

/// Work on packets that an interface does for the stack, or leaves to it.
///
/// - Source: ethtool(8), options `-k` and `-K`; `SIOCETHTOOL`.
package enum Offload: String, Hashable, Sendable, CaseIterable {
    /// Merging of received segments; a veth without it drops what XDP redirects into it.
    case gro
    /// Checksums of sent packets; XDP redirects lose the note that one is still to be filled in.
    case txChecksum = "tx-checksum"
    /// Cutting of large TCP packets.
    case tso
    /// Cutting of large packets in software, right before the driver.
    case gso

    /// Whether the interface has the offload on.
    ///
    /// - Throws: `.invalidName`, `.linkMissing`, `.offloadRefused`, and what opening a socket does.
    package func isOn(_ name: String, netnsPath: String? = nil) throws(NetlinkError) -> Bool {
        try LinkName.check(name)
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        let status = genie_offload_get(socket.control, name, number)
        try check(status, name, netnsPath)
        return status == 1
    }

    /// Turns the offload of the interface on or off.
    ///
    /// - Throws: `.invalidName`, `.linkMissing`, `.offloadRefused`, and what opening a socket does.
    package func set(
        _ isOn: Bool,
        on name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        try LinkName.check(name)
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        try set(isOn, on: name, through: socket, netnsPath: netnsPath)
    }

    func set(
        _ isOn: Bool,
        on name: String,
        through socket: NetlinkSocket,
        netnsPath: String?
    ) throws(NetlinkError) {
        try check(genie_offload_set(socket.control, name, number, isOn), name, netnsPath)
    }

    /// Has the interface take no super-packets of tunnels and of SCTP: whoever sends them cuts them
    /// up first.
    ///
    /// The kernel puts one more tunnel around none of them (`bpf_skb_adjust_room`).
    static func turnForeignSegmentationOff(
        _ name: String,
        withUDP: Bool,
        through socket: NetlinkSocket,
        netnsPath: String?
    ) throws(NetlinkError) {
        try Offload.gso.check(
            genie_foreign_segmentation_off(socket.control, name, withUDP),
            name,
            netnsPath
        )
    }

    private func check(
        _ status: Int32,
        _ name: String,
        _ netnsPath: String?
    ) throws(NetlinkError) {
        guard status < 0 else { return }
        guard status != -ENODEV else {
            throw .linkMissing(name: name, netnsPath: netnsPath)
        }
        throw .offloadRefused(self, name: name, errno: -status)
    }

    private var number: genie_offload {
        switch self {
        case .gro: GENIE_OFFLOAD_GRO
        case .txChecksum: GENIE_OFFLOAD_TX_CHECKSUM
        case .tso: GENIE_OFFLOAD_TSO
        case .gso: GENIE_OFFLOAD_GSO
        }
    }
}
