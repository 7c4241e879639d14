package import Addressing

/// A way out of an interface for one block of addresses.
package struct Route: Hashable, Sendable, CustomStringConvertible {
    /// The addresses the route is for; length 0 makes it the default route.
    package let destination: Prefix
    /// The next hop; nil where the destinations are on the link itself.
    package let gateway: IPAddress?
    /// The number of the routing table.
    package let table: UInt32

    /// The table that is looked at unless a rule says otherwise (`RT_TABLE_MAIN`).
    package static let mainTable: UInt32 = 254

    /// Makes a route; nil where the gateway is of the other address family.
    package init?(destination: Prefix, gateway: IPAddress? = nil, table: UInt32 = mainTable) {
        guard gateway.map({ $0.isV4 == destination.isV4 }) ?? true else { return nil }
        self.init(checked: destination, gateway: gateway, table: table)
    }

    /// The route to one address on the link.
    package static func onLink(_ address: IPAddress) -> Route {
        Route(checked: block(at: address, length: address.isV4 ? 32 : 128), gateway: nil)
    }

    /// The default route of the gateway's address family.
    package static func byDefault(via gateway: IPAddress) -> Route {
        let zero = gateway.isV4 ? IPAddress(v4: 0) : IPAddress(high: 0, low: 0)
        return Route(checked: block(at: zero, length: 0), gateway: gateway)
    }

    package var description: String {
        "\(destination)\(gateway.map { " via \($0)" } ?? "")"
            + (table == Self.mainTable ? "" : " in table \(table)")
    }

    private init(checked destination: Prefix, gateway: IPAddress?, table: UInt32 = mainTable) {
        self.destination = destination
        self.gateway = gateway
        self.table = table
    }

    private static func block(at address: IPAddress, length: Int) -> Prefix {
        guard let block = Prefix(first: address, length: length) else {
            preconditionFailure("a whole address and the zero block have no host bits")
        }
        return block
    }
}
