internal import Addressing
internal import CGenieABI

// Swift values to and from the C structs of `genie/abi.h`. Keys are made here only, out of types
// that cannot leave out the VNI.

extension ip_address {
    init(_ address: IPAddress) {
        self.init()
        withUnsafeMutableBytes(of: &self) { $0.copyBytes(from: address.bytes) }
    }

    var value: IPAddress {
        withUnsafeBytes(of: self) { bytes in
            let words = bytes.loadUnaligned(as: (UInt64, UInt64).self)
            return IPAddress(high: words.0.bigEndian, low: words.1.bigEndian)
        }
    }
}

typealias MACBytes = (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8)

private func bytes(of address: MACAddress) -> MACBytes {
    let bytes = address.bytes
    return (bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5])
}

private func address(of bytes: MACBytes) -> MACAddress {
    let high = UInt64(bytes.0) << 40 | UInt64(bytes.1) << 32 | UInt64(bytes.2) << 24
    return MACAddress(bits: high | UInt64(bytes.3) << 16 | UInt64(bytes.4) << 8 | UInt64(bytes.5))
}

extension node_value {
    init(_ node: NodeConfiguration) {
        self.init(
            vtep: ip_address(node.vtep),
            uplink_ifindex: node.uplinkIfindex,
            pod_mtu: node.podMTU,
            open_vni: node.open?.vni.number ?? 0,
            open_ifindex: node.open?.ifindex ?? 0,
            open_mac: node.open.map { bytes(of: $0.mac) } ?? (0, 0, 0, 0, 0, 0),
            is_routed: node.isRouted ? 1 : 0,
            pad0: 0
        )
    }

    /// Nil until the agent has written the row.
    var value: NodeConfiguration? {
        guard uplink_ifindex != 0 else { return nil }
        return NodeConfiguration(
            vtep: vtep.value,
            uplinkIfindex: uplink_ifindex,
            podMTU: pod_mtu,
            isRouted: is_routed != 0,
            open: VNI(open_vni).flatMap { vni in
                guard open_ifindex != 0 else { return nil }
                return .init(vni: vni, ifindex: open_ifindex, mac: MACAddress(open_mac))
            }
        )
    }
}

extension PortRow {
    init?(key: port_key, value: port_value) {
        guard let vni = VNI(value.vni), key.ifindex != 0 else { return nil }
        self.init(
            ifindex: key.ifindex,
            vni: vni,
            addresses: [
                PodAddress(value.address4, value.gateway4, isV4: true),
                PodAddress(value.address6, value.gateway6, isV4: false),
            ].compactMap(\.self),
            mac: MACAddress(value.mac),
            gatewayMAC: MACAddress(value.gateway_mac),
            generation: value.generation
        )
    }

    var value: port_value {
        var value = port_value()
        value.vni = vni.number
        value.generation = generation
        value.mac = bytes(of: mac)
        value.gateway_mac = bytes(of: gatewayMAC)
        for pair in addresses {
            if pair.address.isV4 {
                value.address4 = ip_address(pair.address)
                value.gateway4 = ip_address(pair.gateway)
            } else {
                value.address6 = ip_address(pair.address)
                value.gateway6 = ip_address(pair.gateway)
            }
        }
        return value
    }
}

extension PodAddress {
    /// Nil where a pod has none of the family.
    fileprivate init?(_ address: ip_address, _ gateway: ip_address, isV4: Bool) {
        let address = address.value
        let gateway = gateway.value
        guard address != .unspecified, address.isV4 == isV4, gateway.isV4 == isV4 else {
            return nil
        }
        self.init(address: address, gateway: gateway)
    }
}

extension endpoint_key {
    init(_ vni: VNI, _ address: IPAddress) {
        self.init(vni: vni.number, address: ip_address(address))
    }
}

extension EndpointRow {
    init?(key: endpoint_key, value: endpoint_value) {
        guard let vni = VNI(key.vni) else { return nil }
        let vtep = value.vtep.value
        let place: Place
        if vtep != .unspecified {
            place = .remote(vtep: vtep)
        } else if value.ifindex != 0 {
            place = .local(ifindex: value.ifindex)
        } else {
            return nil
        }
        self.init(
            vni: vni,
            address: key.address.value,
            mac: MACAddress(value.mac),
            place: place,
            fence: value.fence,
            group: value.group
        )
    }

    var value: endpoint_value {
        var value = endpoint_value()
        value.fence = fence
        value.group = group
        value.mac = bytes(of: mac)
        switch place {
        case .local(let ifindex): value.ifindex = ifindex
        case .remote(let vtep): value.vtep = ip_address(vtep)
        }
        return value
    }
}

extension EndpointRow.Place {
    init?(_ value: many_value) {
        let vtep = value.vtep.value
        if vtep != .unspecified {
            self = .remote(vtep: vtep)
        } else if value.ifindex != 0 {
            self = .local(ifindex: value.ifindex)
        } else {
            return nil
        }
    }

    var many: many_value {
        switch self {
        case .local(let ifindex): many_value(vtep: ip_address(), ifindex: ifindex)
        case .remote(let vtep): many_value(vtep: ip_address(vtep), ifindex: 0)
        }
    }
}

extension VNIRow {
    init?(key: vni_key, value: vni_value) {
        guard let vni = VNI(key.vni) else { return nil }
        self.init(vni: vni, gatewayMAC: MACAddress(value.gateway_mac))
    }

    var value: vni_value {
        vni_value(gateway_mac: bytes(of: gatewayMAC), pad0: (0, 0), flags: 0)
    }
}

extension MACAddress {
    fileprivate init(_ bytes: MACBytes) {
        self = address(of: bytes)
    }
}
