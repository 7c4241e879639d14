package import Addressing
internal import CLinux
internal import Glibc

extension Request {
    /// Gives an interface an address.
    ///
    /// IPv6 skips duplicate address detection (RFC 4862 section 5.4): addresses are unique because
    /// they were claimed, and a pod must be able to use its address at once.
    package static func addAddress(_ address: InterfaceAddress, index: UInt32) -> Request {
        var body = MessageWriter()
        body.write(family(of: address.address))
        body.write(UInt8(address.prefixLength))
        body.write(address.address.isV4 ? UInt8(0) : UInt8(IFA_F_NODAD))
        body.write(scopeUniverse)
        body.write(index)
        body.attribute(IFA_LOCAL, address: address.address)
        body.attribute(IFA_ADDRESS, address: address.address)
        return Request(
            .addAddress(address, index: index),
            type: RTM_NEWADDR,
            flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            body: body
        )
    }

    /// Reads every address of the namespace, both families.
    package static func listAddresses() -> Request {
        var body = MessageWriter()
        // struct ifaddrmsg: family AF_UNSPEC, everything else zero.
        body.write(UInt32(0))
        body.write(UInt32(0))
        return Request(.listAddresses, type: RTM_GETADDR, flags: NLM_F_DUMP, body: body)
    }

    /// Tells the interface who has an address, for good: nobody is asked, and no answer changes it.
    package static func addNeighbour(
        _ address: IPAddress,
        mac: MACAddress,
        index: UInt32
    ) -> Request {
        var body = MessageWriter()
        // struct ndmsg: family, 3 bytes padding, index, state, flags, type.
        body.write(family(of: address))
        body.write(UInt8(0))
        body.write(UInt16(0))
        body.write(index)
        body.write(UInt16(NUD_PERMANENT))
        body.write(UInt8(0))
        body.write(UInt8(0))
        body.attribute(NDA_DST, address: address)
        body.attribute(NDA_LLADDR, mac: mac)
        return Request(
            .addNeighbour(address, index: index),
            type: RTM_NEWNEIGH,
            flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
            body: body
        )
    }

    /// Adds a route through an interface; one that exists already is refused with EEXIST.
    package static func addRoute(_ route: Route, index: UInt32) -> Request {
        Request(
            .addRoute(route, index: index),
            type: RTM_NEWROUTE,
            flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            body: body(of: route, index: index)
        )
    }

    /// Takes a route through an interface away, whoever made it; one that is not there is refused
    /// with ESRCH.
    package static func deleteRoute(_ route: Route, index: UInt32) -> Request {
        Request(
            .deleteRoute(route, index: index),
            type: RTM_DELROUTE,
            flags: NLM_F_ACK,
            body: body(of: route, index: index, protocol: UInt8(RTPROT_UNSPEC))
        )
    }

    private static func body(
        of route: Route,
        index: UInt32,
        protocol origin: UInt8 = UInt8(RTPROT_STATIC)
    ) -> MessageWriter {
        var body = MessageWriter()
        // struct rtmsg: family, two lengths, tos, table, protocol, scope, type, 4 bytes of flags.
        body.write(family(of: route.destination.first))
        body.write(UInt8(route.destination.length))
        body.write(UInt16(0))
        body.write(UInt8(exactly: route.table) ?? UInt8(RT_TABLE_UNSPEC.rawValue))
        body.write(origin)
        body.write(scope(of: route))
        body.write(UInt8(RTN_UNICAST))
        body.write(UInt32(0))
        if route.destination.length > 0 {
            body.attribute(RTA_DST.rawValue, address: route.destination.first)
        }
        if let gateway = route.gateway {
            body.attribute(RTA_GATEWAY.rawValue, address: gateway)
        }
        body.attribute(RTA_OIF.rawValue, number: index)
        body.attribute(RTA_TABLE.rawValue, number: route.table)
        if route.metric > 0 { body.attribute(RTA_PRIORITY.rawValue, number: route.metric) }
        return body
    }

    private static func family(of address: IPAddress) -> UInt8 {
        address.isV4 ? UInt8(AF_INET) : UInt8(AF_INET6)
    }

    /// IPv6 has no scopes of routes; IPv4 wants the gateway's own route to be nearer than the
    /// routes that lead through it.
    private static func scope(of route: Route) -> UInt8 {
        let isNear = route.gateway == nil && route.destination.isV4
        return isNear ? UInt8(RT_SCOPE_LINK.rawValue) : scopeUniverse
    }

    private static var scopeUniverse: UInt8 { UInt8(RT_SCOPE_UNIVERSE.rawValue) }
}
