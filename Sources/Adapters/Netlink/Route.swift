package import Addressing

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
