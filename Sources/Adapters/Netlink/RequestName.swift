package import Addressing

/// What a request asks for, as errors and logs name it.
package enum RequestName: Hashable, Sendable {
    /// Making a veth pair.
    case createVeth(hostName: String, podName: String)
    /// Making a tunnel device.
    case createTunnelReceiver(name: String)
    /// Bringing an interface up.
    case setUp(index: UInt32)
    /// Removing an interface.
    case deleteLink(name: String)
    case deleteLinkAt(index: UInt32)
    /// Reading one interface.
    case readLink(name: String)
    /// Reading every interface.
    case listLinks
    /// Giving an interface an address.
    case addAddress(InterfaceAddress, index: UInt32)
    /// Reading every address.
    case listAddresses
    /// Making a permanent neighbour.
    case addNeighbour(IPAddress, index: UInt32)
    /// Adding a route.
    case addRoute(Route, index: UInt32)
    /// Removing a route.
    case deleteRoute(Route, index: UInt32)
    /// Reading every route.
    case listRoutes
    /// Removing a default route.
    case deleteDefaultRoute(isV4: Bool)
    /// Adding a rule.
    case addRule(SourceRule)
    /// Removing a rule.
    case deleteRule(SourceRule)
}

extension RequestName: CustomStringConvertible {
    package var description: String {
        switch self {
        case .createVeth(let hostName, let podName): "create link \(hostName) with peer \(podName)"
        case .createTunnelReceiver(let name): "create tunnel device \(name)"
        case .setUp(let index): "bring link \(index) up"
        case .deleteLink(let name): "delete link \(name)"
        case .deleteLinkAt(let index): "delete link number \(index)"
        case .readLink(let name): "read link \(name)"
        case .listLinks: "list the links"
        case .addAddress(let address, let index): "add address \(address) to link \(index)"
        case .listAddresses: "list the addresses"
        case .addNeighbour(let address, let index): "add neighbour \(address) to link \(index)"
        case .addRoute(let route, let index): "add route \(route) through link \(index)"
        case .deleteRoute(let route, let index): "delete route \(route) through link \(index)"
        case .listRoutes: "list the routes"
        case .deleteDefaultRoute(let isV4): "delete a default route of IPv\(isV4 ? 4 : 6)"
        case .addRule(let rule): "add rule \(rule)"
        case .deleteRule(let rule): "delete rule \(rule)"
        }
    }
}
