package import Addressing
internal import Glibc

/// The interface of a pod: a veth pair with one end on the node and one in the pod.
///
/// Every call is safe on any thread: only threads that end with the call enter the pod's namespace.
package enum PodLink {
    /// The numbers of the two ends, each in its own namespace.
    package struct Ends: Hashable, Sendable {
        /// The number of the node's end.
        package let hostIndex: UInt32
        /// The number of the pod's end.
        package let podIndex: UInt32
    }

    /// What the pod's end is to be given.
    package struct Settings: Hashable, Sendable {
        /// The addresses, usually one of each family, without a link block (`/32`, `/128`).
        package var addresses: [InterfaceAddress]
        /// The next hops, at most one of each family; none makes an interface without routes.
        package var gateways: [IPAddress]
        /// The Ethernet address that all gateways have: the node's end of the pair.
        package var gatewayMAC: MACAddress
        /// Whether the pod's default routes lead through this interface.
        package var isDefaultRoute: Bool
        /// More routes; one without a gateway goes through the gateway of its family, if any.
        package var routes: [Route]
        /// The metric of all routes, 0 for the kernel's own choice.
        ///
        /// Where two interfaces lead to the same places, it has to differ.
        package var metric: UInt32
        /// Whether large packets of UDP are cut up in the pod, too.
        ///
        /// A veth for an uplink hands them over whole, and what tc takes out of the tunnel then,
        /// the kernel goes on taking for a tunnel's: pods would not get them.
        package var cutsUDP: Bool
        /// Offloads to turn on or off; the default turns `gro` on, which XDP redirects need.
        package var offloads: [Offload: Bool]

        /// Describes the settings of an interface.
        package init(
            addresses: [InterfaceAddress],
            gateways: [IPAddress],
            gatewayMAC: MACAddress,
            isDefaultRoute: Bool,
            routes: [Route] = [],
            metric: UInt32 = 0,
            cutsUDP: Bool = false,
            offloads: [Offload: Bool] = [.gro: true]
        ) {
            self.addresses = addresses
            self.gateways = gateways
            self.gatewayMAC = gatewayMAC
            self.isDefaultRoute = isDefaultRoute
            self.routes = routes
            self.metric = metric
            self.cutsUDP = cutsUDP
            self.offloads = offloads
        }
    }

    /// What the pod's end is like now.
    package struct State: Hashable, Sendable {
        /// The interface itself.
        package let link: LinkInfo
        /// Its addresses, ascending, the link-local ones of IPv6 included.
        package let addresses: [InterfaceAddress]
        /// The routes through it, of all tables.
        package let routes: [Route]
    }

    /// Makes the pair, with the pod's end born inside the pod's namespace, and the node's end up
    /// where that is wanted.
    ///
    /// A call that fails leaves no interface behind, unless the error is not definite.
    /// - Parameters:
    ///   - pair: the two ends; both names must be free.
    ///   - netnsPath: the pod's namespace.
    ///   - hostNetnsPath: where the node's end goes; nil means the caller's namespace.
    ///   - isHostUp: whether the node's end is to be up.
    ///   - isOfNode: whether the "pod" is the node itself, so that both ends stay in one namespace.
    /// - Returns: the numbers of both ends.
    /// - Throws: `.nameTaken` where either name is in use, `.namespaceNotForeign` where both ends
    ///   of a pod's pair would be in one namespace, `.namespaceMissing` and `.namespaceInvalid`,
    ///   `.refused`.
    package static func create(
        _ pair: VethPair,
        netnsPath: String,
        hostNetnsPath: String? = nil,
        isHostUp: Bool = true,
        isOfNode: Bool = false
    ) throws(NetlinkError) -> Ends {
        try LinkName.check(pair.hostName)
        try LinkName.check(pair.podName)
        let pod = try NetnsFile(netnsPath)
        let podInode = try pod.inode()
        let hostInode = try Netns.inode(hostNetnsPath ?? Netns.currentPath)
        guard podInode != hostInode || isOfNode else { throw .namespaceNotForeign(path: netnsPath) }

        let socket = try NetlinkSocket(netnsPath: hostNetnsPath)
        do throws(NetlinkError) {
            try socket.perform([.createVeth(pair, podNamespace: pod.descriptor)])
        } catch .refused(let request, EEXIST, let explanation) {
            throw try nameTaken(pair, netnsPath, hostNetnsPath)
                ?? .refused(request: request, errno: EEXIST, explanation: explanation)
        }
        do throws(NetlinkError) {
            // Only now, and not in one batch with the creation: had that been refused, the name
            // would be somebody else's interface.
            let host = try socket.link(pair.hostName, netnsPath: hostNetnsPath)
            if isHostUp { try socket.perform([.setUp(index: host.index)]) }
            guard let podIndex = host.peerIndex else {
                throw .linkMissing(name: pair.podName, netnsPath: netnsPath)
            }
            return Ends(hostIndex: host.index, podIndex: podIndex)
        } catch {
            _ = try? socket.perform([.deleteLink(name: pair.hostName)])
            throw error
        }
    }

    /// Makes the pod's end usable: interfaces up, addresses, gateways, routes, in one batch.
    ///
    /// The gateway needs no address of the node: a route on the link and a permanent neighbour lead
    /// to it. After an error some of the settings may be in place; deleting the link undoes all.
    /// - Throws: `.linkMissing`, `.refused` with the request that failed, `.offloadRefused`.
    package static func configure(
        _ name: String,
        netnsPath: String,
        settings: Settings
    ) throws(NetlinkError) {
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        let link = try socket.link(name, netnsPath: netnsPath)
        if settings.addresses.contains(where: { !$0.address.isV4 }) {
            // Some runtimes hand over namespaces in which IPv6 is switched off.
            try Sysctl.write("0", to: "disable_ipv6", of: .ipv6, on: name, netnsPath: netnsPath)
        }
        for offload in Offload.allCases {
            guard let isOn = settings.offloads[offload] else { continue }
            try offload.set(isOn, on: name, through: socket, netnsPath: netnsPath)
        }
        try Offload.turnForeignSegmentationOff(
            name,
            withUDP: settings.cutsUDP,
            through: socket,
            netnsPath: netnsPath
        )
        try socket.perform(requests(for: settings, index: link.index))
    }

    /// What the pod's end is like, for comparison with what was set up.
    ///
    /// - Throws: `.linkMissing`, `.namespaceMissing`.
    package static func inspect(
        _ name: String,
        netnsPath: String
    ) throws(NetlinkError) -> State {
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        let link = try socket.link(name, netnsPath: netnsPath)
        return State(
            link: link,
            addresses: try socket.addresses(link.index),
            routes: try socket.routes().filter { $0.index == link.index }.map(\.route)
        )
    }

    /// The batch that ``configure(_:netnsPath:settings:)`` sends, in an order in which every
    /// request finds what it needs.
    package static func requests(for settings: Settings, index: UInt32) -> [Request] {
        var requests: [Request] = [.setUp(index: loopbackIndex), .setUp(index: index)]
        requests += settings.addresses.map { .addAddress($0, index: index) }
        for gateway in settings.gateways {
            let isOnLink = settings.addresses.contains {
                $0.linkBlock?.contains(gateway) ?? false
            }
            if !isOnLink {
                let route = Route.onLink(gateway).measured(settings.metric)
                requests.append(.addRoute(route, index: index))
            }
            requests.append(.addNeighbour(gateway, mac: settings.gatewayMAC, index: index))
        }
        if settings.isDefaultRoute {
            requests += settings.gateways.map {
                .addRoute(.byDefault(via: $0).measured(settings.metric), index: index)
            }
        }
        return requests
            + settings.routes.map { route in
                let family = settings.gateways.first { $0.isV4 == route.destination.isV4 }
                let whole = Route(
                    destination: route.destination,
                    gateway: route.gateway ?? family,
                    table: route.table
                )
                return .addRoute((whole ?? route).measured(settings.metric), index: index)
            }
    }

    /// The number of the loopback in every namespace (`LOOPBACK_IFINDEX`).
    private static let loopbackIndex: UInt32 = 1

    /// Which of the two names the kernel's EEXIST is about; nil where neither is there any more.
    private static func nameTaken(
        _ pair: VethPair,
        _ netnsPath: String,
        _ hostNetnsPath: String?
    ) throws(NetlinkError) -> NetlinkError? {
        if try exists(pair.podName, netnsPath) {
            return .nameTaken(name: pair.podName, netnsPath: netnsPath)
        }
        if try exists(pair.hostName, hostNetnsPath) {
            return .nameTaken(name: pair.hostName, netnsPath: hostNetnsPath)
        }
        return nil
    }

    private static func exists(_ name: String, _ netnsPath: String?) throws(NetlinkError) -> Bool {
        do throws(NetlinkError) {
            _ = try Links.info(name, netnsPath: netnsPath)
            return true
        } catch .linkMissing {
            return false
        }
    }
}
