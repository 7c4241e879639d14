package import Addressing
internal import CLinux
internal import Glibc
internal import Wire

/// The ways out of a pod that has several interfaces.
///
/// Each address gets a table of its own that leads through its own interface, and a rule that
/// finds the table by the packet's source: so an answer leaves where the question came in, and
/// strict reverse-path filters are content. One interface has the default routes.
package enum PodRoutes {
    /// The ways out through one interface.
    package struct Way: Hashable, Sendable {
        /// The interface in the pod.
        package var interface: String
        /// Its addresses.
        package var addresses: [InterfaceAddress]
        /// The next hops on it, at most one of each family; a link without one has none.
        package var gateways: [IPAddress]
        /// The next hops of the pod's default routes, where they lead through here, first choice
        /// first.
        package var defaultGateways: [IPAddress]
        /// The number of its own table.
        package var table: UInt32
        /// Whether the interface may have gone meanwhile: then it needs no ways.
        package var mayBeGone = false

        /// Describes the ways out through one interface.
        package init(
            interface: String,
            addresses: [InterfaceAddress],
            gateways: [IPAddress],
            defaultGateways: [IPAddress],
            table: UInt32
        ) {
            self.interface = interface
            self.addresses = addresses
            self.gateways = gateways
            self.defaultGateways = defaultGateways
            self.table = table
        }

        /// The rules that find the table.
        package var rules: [SourceRule] {
            addresses.map { SourceRule(source: $0.address, table: table) }
        }
    }

    /// Takes the pod's default routes of both families away, whoever made them.
    ///
    /// - Parameters:
    ///   - interfaces: those that they lead through; nil for any.
    ///   - netnsPath: the pod's namespace.
    /// - Throws: `.namespaceMissing`, `.refused`.
    package static func removeDefaults(
        through interfaces: [String]? = nil,
        netnsPath: String
    ) throws(NetlinkError) {
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        guard let interfaces else { return try removeDefaults(socket) }
        let indices = try interfaces.map { name throws(NetlinkError) in
            do throws(NetlinkError) {
                return try socket.link(name, netnsPath: netnsPath).index
            } catch .linkMissing {
                return 0
            }
        }
        for (route, index) in try socket.routes()
        where route.destination.length == 0 && route.table == Route.mainTable
            && indices.contains(index)
        {
            do throws(NetlinkError) {
                try socket.perform([.deleteRoute(route, index: index)])
            } catch .refused(_, ESRCH, _) {}
        }
    }

    /// Makes the tables, the rules and the default routes; what is there already stays, but for
    /// default routes where any are to be made.
    ///
    /// - Throws: `.linkMissing`, `.refused`; some of it may be in place then.
    package static func apply(_ ways: [Way], netnsPath: String) throws(NetlinkError) {
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        if ways.contains(where: { !$0.defaultGateways.isEmpty }) { try removeDefaults(socket) }
        let present = ways.count > 1 ? try routes(socket) : []
        for way in ways {
            let index: UInt32
            do throws(NetlinkError) {
                index = try socket.link(way.interface, netnsPath: netnsPath).index
            } catch .linkMissing where way.mayBeGone {
                continue
            }
            if ways.count > 1 {
                let own = present.filter { $0.index == index }.map(\.route)
                for route in routes(of: way, beside: own) {
                    try add(.addRoute(route, index: index), socket)
                }
                for rule in way.rules { try add(.addRule(rule), socket) }
            }
            for (place, gateway) in way.defaultGateways.enumerated() {
                let route = Route.byDefault(via: gateway, metric: place == 0 ? 0 : 1_024 + place)
                try add(.addRoute(route, index: index), socket)
            }
        }
    }

    /// Makes the routes of the main table that lead through next hops on an interface those, and no
    /// others; those on the link itself stay.
    ///
    /// - Throws: `.linkMissing`, `.refused` where another interface has such a route; the routes
    ///   before it are in place then.
    package static func replace(
        _ wanted: [Route],
        through interface: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        let index = try socket.link(interface, netnsPath: netnsPath).index
        let present = try routes(socket).filter { $0.index == index && $0.route.gateway != nil }
            .map(\.route)
        for route in present where !wanted.contains(route) {
            do throws(NetlinkError) {
                try socket.perform([.deleteRoute(route, index: index)])
            } catch .refused(_, ESRCH, _) {}
        }
        for route in wanted where !present.contains(route) {
            try socket.perform([.addRoute(route, index: index)])
        }
    }

    /// Takes rules away; one that is not there is as good as removed.
    package static func remove(_ rules: [SourceRule], netnsPath: String) throws(NetlinkError) {
        if rules.isEmpty { return }
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        for rule in rules {
            do throws(NetlinkError) {
                try socket.perform([.deleteRule(rule)])
            } catch .refused(_, ENOENT, _) {}
        }
    }

    /// What a table has in it: the ways that the main table knows through the interface, those on
    /// the link first, and everything through the next hops.
    ///
    /// The block of an address may not be on its link, as on a line to the node, so nothing is
    /// made up but the way to a next hop that a plugin has moved out of the main table.
    static func routes(of way: Way, beside own: [Route]) -> [Route] {
        let known = own.filter { $0.gateway == nil }
        let unknown = way.gateways.filter { gateway in
            !known.contains { $0.destination.contains(gateway) }
        }
        let near = known + unknown.map { Route.onLink($0) }
        let far = own.filter { $0.gateway != nil }
        let copied = (near + far).map { $0.moved(to: way.table) }
        return copied + way.gateways.map { .byDefault(via: $0, table: way.table) }
    }

    /// Every route of the main table that is no default route.
    private static func routes(
        _ socket: NetlinkSocket
    ) throws(NetlinkError) -> [(route: Route, index: UInt32)] {
        try socket.routes().filter {
            $0.route.table == Route.mainTable && $0.route.destination.length > 0
        }
    }

    private static func add(_ request: Request, _ socket: NetlinkSocket) throws(NetlinkError) {
        do throws(NetlinkError) {
            try socket.perform([request])
        } catch .refused(_, EEXIST, _) {}
    }

    /// The kernel takes one of several away at a time, and says ESRCH when there is none.
    private static func removeDefaults(_ socket: NetlinkSocket) throws(NetlinkError) {
        for isV4 in [true, false] {
            for _ in 0..<defaultsMax {
                do throws(NetlinkError) {
                    try socket.perform([.deleteDefaultRoute(isV4: isV4)])
                } catch .refused(_, let number, _) {
                    // ENOENT: there is no such table, as where nothing of IPv6 was ever set.
                    guard [ESRCH, ENOENT, EAFNOSUPPORT].contains(number) else {
                        throw .refused(
                            request: .deleteDefaultRoute(isV4: isV4),
                            errno: number,
                            explanation: ""
                        )
                    }
                    break
                }
            }
        }
    }

    /// More default routes than a pod has.
    private static let defaultsMax = 64
}

/// Packets with this source look into a table of their own.
package struct SourceRule: Hashable, Sendable, CustomStringConvertible {
    /// The address that the packets come from.
    package let source: IPAddress
    /// The number of the table.
    package let table: UInt32

    /// Before the main table's own rule, behind the local one.
    static let priority: UInt32 = 30_000

    /// Makes a rule.
    package init(source: IPAddress, table: UInt32) {
        self.source = source
        self.table = table
    }

    package var description: String { "from \(source) to table \(table)" }
}
