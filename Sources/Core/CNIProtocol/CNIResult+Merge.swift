package import Addressing

/// What one of several attachments of a pod brought about.
package struct AttachmentResult: Hashable, Sendable {
    /// The interface that was asked for.
    package let interface: String
    /// What came of it.
    package let result: CNIResult
    /// Whether the pod's default routes lead through it.
    package let isDefault: Bool

    /// Makes a result.
    package init(interface: String, result: CNIResult, isDefault: Bool) {
        self.interface = interface
        self.result = result
        self.isDefault = isDefault
    }

    /// The place of the pod's interface among the result's.
    package var podInterface: Int? {
        let named = result.interfaces.firstIndex {
            $0.sandbox?.isEmpty == false && $0.name == interface
        }
        return named ?? result.interfaces.firstIndex { $0.sandbox?.isEmpty == false }
    }

    /// The addresses of the pod's interface; of a plugin that names none, all.
    package var podAddresses: [CNIResult.Address] {
        let own = result.ips.filter { $0.interface != nil && $0.interface == podInterface }
        return own.isEmpty ? result.ips.filter { $0.interface == nil } : own
    }

    /// The next hops of default routes that the result speaks of, in their order.
    package var defaultGateways: [IPAddress] {
        result.routes.filter { $0.dst.length == 0 }.compactMap { route in
            route.gw ?? podAddresses.first { $0.gateway?.isV4 == route.dst.isV4 }?.gateway
        }
    }
}

extension CNIResult {
    /// One result of several, in their order.
    ///
    /// Interfaces that several name are listed once, and every address says which is its own; of
    /// default routes only those of the default attachment are left, or the ones in `gateways`;
    /// a route without a next hop gets the one of its own attachment. Servers of names are put one
    /// behind the other.
    package static func merged(
        _ parts: [AttachmentResult],
        defaultGateways gateways: [IPAddress] = []
    ) -> CNIResult {
        var whole = CNIResult()
        for part in parts {
            let places = part.result.interfaces.map { interface in
                if let known = whole.interfaces.firstIndex(where: {
                    $0.name == interface.name && $0.sandbox == interface.sandbox
                }) {
                    return known
                }
                whole.interfaces.append(interface)
                return whole.interfaces.count - 1
            }
            for address in part.result.ips {
                var address = address
                let place = address.interface.flatMap { places.indices.contains($0) ? $0 : nil }
                address.interface = (place ?? part.podInterface).map { places[$0] }
                whole.ips.append(address)
            }
            for route in part.result.routes {
                if route.dst.length == 0, !part.isDefault || !gateways.isEmpty { continue }
                var route = route
                route.gw =
                    route.gw
                    ?? part.podAddresses.first { $0.gateway?.isV4 == route.dst.isV4 }?.gateway
                if !whole.routes.contains(route) { whole.routes.append(route) }
            }
            whole.dns.append(part.result.dns)
        }
        whole.routes += gateways.compactMap { gateway in
            Prefix(gateway.isV4 ? "0.0.0.0/0" : "::/0").map { Route(dst: $0, gw: gateway) }
        }
        return whole
    }
}

extension CNIResult.DNS {
    /// Puts another set behind this one, without what is there already.
    fileprivate mutating func append(_ other: CNIResult.DNS) {
        nameservers += other.nameservers.filter { !nameservers.contains($0) }
        search += other.search.filter { !search.contains($0) }
        options += other.options.filter { !options.contains($0) }
        domain = domain ?? other.domain
    }
}
