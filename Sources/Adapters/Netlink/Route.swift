package import Addressing
internal import CLinux
internal import Glibc
internal import Wire

/// A way out of an interface for one block of addresses.
package struct Route: Hashable, Sendable, CustomStringConvertible {
    /// The addresses the route is for; length 0 makes it the default route.
    package let destination: Prefix
    /// The next hop; nil where the destinations are on the link itself.
    package let gateway: IPAddress?
    /// The number of the routing table.
    package let table: UInt32
    /// The lower one is tried first; 0 is the kernel's own choice.
    package let metric: UInt32

    /// The table that is looked at unless a rule says otherwise (`RT_TABLE_MAIN`).
    package static let mainTable: UInt32 = 254

    /// Makes a route; nil where the gateway is of the other address family.
    package init?(destination: Prefix, gateway: IPAddress? = nil, table: UInt32 = mainTable) {
        guard gateway.map({ $0.isV4 == destination.isV4 }) ?? true else { return nil }
        self.init(checked: destination, gateway: gateway, table: table, metric: 0)
    }

    /// The route to one address on the link.
    package static func onLink(_ address: IPAddress, table: UInt32 = mainTable) -> Route {
        let block = block(at: address, length: address.isV4 ? 32 : 128)
        return Route(checked: block, gateway: nil, table: table)
    }

    /// The default route of the gateway's address family.
    package static func byDefault(
        via gateway: IPAddress,
        table: UInt32 = mainTable,
        metric: Int = 0
    ) -> Route {
        let zero = gateway.isV4 ? IPAddress(v4: 0) : IPAddress(high: 0, low: 0)
        return Route(
            checked: block(at: zero, length: 0),
            gateway: gateway,
            table: table,
            metric: UInt32(clamping: metric)
        )
    }

    /// The same route with another metric; one that has a metric already keeps it.
    func measured(_ metric: UInt32) -> Route {
        Route(
            checked: destination,
            gateway: gateway,
            table: table,
            metric: self.metric == 0 ? metric : self.metric
        )
    }

    package var description: String {
        "\(destination)\(gateway.map { " via \($0)" } ?? "")"
            + (table == Self.mainTable ? "" : " in table \(table)")
    }

    private init(
        checked destination: Prefix,
        gateway: IPAddress?,
        table: UInt32,
        metric: UInt32 = 0
    ) {
        self.destination = destination
        self.gateway = gateway
        self.table = table
        self.metric = metric
    }

    private static func block(at address: IPAddress, length: Int) -> Prefix {
        guard let block = Prefix(first: address, length: length) else {
            preconditionFailure("a whole address and the zero block have no host bits")
        }
        return block
    }
}

extension Route {
    /// The next hops of a unicast route, a route for each, with their interfaces' numbers; none for
    /// any other message.
    ///
    /// ```
    ///   struct rtmsg
    ///    0   1   family         4   1   table            8   4   flags, host byte order
    ///    1   1   length         5   1   protocol
    ///    2   1   source length  6   1   scope
    ///    3   1   tos            7   1   type
    /// ```
    static func read(_ message: Message) throws(WireError) -> [(route: Route, index: UInt32)] {
        guard message.type == RTM_NEWROUTE else { return [] }
        var reader = ByteReader(message.payload)
        let family = try reader.readNative("route family", as: UInt8.self)
        let length = try reader.readNative("prefix length", as: UInt8.self)
        _ = try reader.readNative("source length and tos", as: UInt16.self)
        let shortTable = try reader.readNative("table", as: UInt8.self)
        _ = try reader.readNative("protocol and scope", as: UInt16.self)
        let type = try reader.readNative("route type", as: UInt8.self)
        _ = try reader.readNative("route flags", as: UInt32.self)
        let attributes = try Attributes(&reader)
        let zero = family == UInt8(AF_INET) ? IPAddress(v4: 0) : IPAddress(high: 0, low: 0)
        let first = attributes[RTA_DST.rawValue].flatMap { IPAddress(familyBytes: $0) } ?? zero
        guard type == UInt8(RTN_UNICAST),
            let destination = Prefix(first: first, length: Int(length))
        else { return [] }
        let table = try attributes.number(RTA_TABLE.rawValue, "table") ?? UInt32(shortTable)
        return try hops(attributes).compactMap { hop in
            Route(destination: destination, gateway: hop.gateway, table: table)
                .map { ($0, hop.index) }
        }
    }

    /// The one next hop of a route, or those that the kernel has put together since they differ in
    /// nothing else.
    ///
    /// ```
    ///   struct rtnexthop
    ///    0   2   length with attributes   3   1   hops
    ///    2   1   flags                    4   4   link index
    /// ```
    private static func hops(
        _ attributes: Attributes
    ) throws(WireError) -> [(gateway: IPAddress?, index: UInt32)] {
        func gateway(_ attributes: Attributes) -> IPAddress? {
            attributes[RTA_GATEWAY.rawValue].flatMap { IPAddress(familyBytes: $0) }
        }
        if let index = try attributes.number(RTA_OIF.rawValue, "link index") {
            return [(gateway(attributes), index)]
        }
        guard let content = attributes[RTA_MULTIPATH.rawValue] else { return [] }
        var reader = ByteReader(content)
        var hops: [(gateway: IPAddress?, index: UInt32)] = []
        while reader.remaining > 0 {
            let length = Int(try reader.readNative("next hop length", as: UInt16.self))
            guard length >= hopHeaderLength else { throw .malformed(field: "next hop length") }
            _ = try reader.readNative("next hop flags and hops", as: UInt16.self)
            let index = try reader.readNative("next hop link index", as: UInt32.self)
            var inner = ByteReader(try reader.readRaw(length - hopHeaderLength, "next hop"))
            hops.append((gateway(try Attributes(&inner)), index))
            try reader.skipPadding(after: length)
        }
        return hops
    }

    /// The length of `struct rtnexthop`.
    private static let hopHeaderLength = 8

    /// Whether a route leads to the same places through the same next hop, in whichever table.
    package func isLike(_ other: Route) -> Bool {
        destination == other.destination && gateway == other.gateway
    }

    /// The same route in another table.
    func moved(to table: UInt32) -> Route {
        Route(checked: destination, gateway: gateway, table: table)
    }
}

extension NetlinkSocket {
    /// Every unicast route of the namespace, of all tables, with its interface's number.
    func routes() throws(NetlinkError) -> [(route: Route, index: UInt32)] {
        let answers = try perform([.listRoutes()])
        do throws(WireError) {
            var routes: [(route: Route, index: UInt32)] = []
            for message in answers.joined() { routes += try Route.read(message) }
            return routes
        } catch {
            throw .unreadable(error)
        }
    }
}
