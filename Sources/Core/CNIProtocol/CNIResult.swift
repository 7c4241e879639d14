package import Addressing

/// What an ADD brought about, in the one form that all versions are made from.
///
/// - Source: CNI specification 1.1.0, section 5 "ADD Success".
package struct CNIResult: Hashable, Sendable {
    /// The interfaces that were made, in the container and outside it.
    package var interfaces: [Interface]
    /// The addresses that were given out.
    package var ips: [Address]
    /// The routes that were set.
    package var routes: [Route]
    /// Name resolution for the container.
    package var dns: DNS

    /// Makes a result.
    package init(
        interfaces: [Interface] = [],
        ips: [Address] = [],
        routes: [Route] = [],
        dns: DNS = DNS()
    ) {
        self.interfaces = interfaces
        self.ips = ips
        self.routes = routes
        self.dns = dns
    }

    /// One interface.
    package struct Interface: Hashable, Sendable {
        /// The kernel's name for it.
        package var name: String
        /// The hardware address; text, as other plugins' need not be of Ethernet.
        package var mac: String?
        /// The MTU in bytes.
        package var mtu: Int?
        /// The namespace's path for one in a container; nil for one of the node.
        package var sandbox: String?
        /// The socket of an interface that is not the kernel's.
        package var socketPath: String?
        /// The PCI device behind it.
        package var pciID: String?

        /// Makes an interface.
        package init(
            name: String,
            mac: String? = nil,
            mtu: Int? = nil,
            sandbox: String? = nil,
            socketPath: String? = nil,
            pciID: String? = nil
        ) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.sandbox = sandbox
            self.socketPath = socketPath
            self.pciID = pciID
        }
    }

    /// One address of an interface.
    package struct Address: Hashable, Sendable {
        /// The address and the length of its block.
        package var address: InterfaceAddress
        /// The default gateway of the block.
        package var gateway: IPAddress?
        /// The index into ``CNIResult/interfaces``; nil where it is not known.
        package var interface: Int?

        /// Makes an address.
        package init(
            address: InterfaceAddress,
            gateway: IPAddress? = nil,
            interface: Int? = nil
        ) {
            self.address = address
            self.gateway = gateway
            self.interface = interface
        }
    }

    /// One route in the container.
    package struct Route: Hashable, Sendable {
        /// Where it leads.
        package var dst: Prefix
        /// The next hop; nil stands for the gateway of the address.
        package var gw: IPAddress?
        /// The path MTU in bytes.
        package var mtu: Int?
        /// The segment size to advertise, in bytes.
        package var advmss: Int?
        /// The kernel's metric; lower goes first.
        package var priority: Int?
        /// The routing table.
        package var table: Int?
        /// The kernel's scope: 0 universe, 253 link, 254 host.
        package var scope: Int?

        /// Makes a route.
        package init(
            dst: Prefix,
            gw: IPAddress? = nil,
            mtu: Int? = nil,
            advmss: Int? = nil,
            priority: Int? = nil,
            table: Int? = nil,
            scope: Int? = nil
        ) {
            self.dst = dst
            self.gw = gw
            self.mtu = mtu
            self.advmss = advmss
            self.priority = priority
            self.table = table
            self.scope = scope
        }
    }

    /// Name resolution.
    package struct DNS: Hashable, Sendable {
        /// The servers, first choice first.
        package var nameservers: [String]
        /// The domain of short names.
        package var domain: String?
        /// The domains to try.
        package var search: [String]
        /// The resolver's options.
        package var options: [String]

        /// Makes a set; the empty one says nothing.
        package init(
            nameservers: [String] = [],
            domain: String? = nil,
            search: [String] = [],
            options: [String] = []
        ) {
            self.nameservers = nameservers
            self.domain = domain
            self.search = search
            self.options = options
        }
    }
}
