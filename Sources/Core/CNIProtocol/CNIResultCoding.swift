import Addressing

/// A result in the form of one version, as it stands in JSON.
package struct VersionedCNIResult: Codable, Hashable, Sendable {
    /// The version that decides the form.
    package let version: CNIVersion
    /// What was brought about.
    package let result: CNIResult

    /// Puts a result under a version.
    package init(version: CNIVersion, result: CNIResult) {
        self.version = version
        self.result = result
    }

    private enum CodingKeys: String, CodingKey {
        case cniVersion
        case interfaces
        case ips
        case routes
        case dns
        case ip4
        case ip6
    }

    /// Reads a result of any form.
    ///
    /// The form is told by the keys that are there, since old plugins leave the version out.
    /// - Throws: `DecodingError` for an unknown version, and for an address that is none.
    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        var result = CNIResult()
        result.interfaces =
            try fields.decodeIfPresent([InterfaceFields].self, forKey: .interfaces)?.map(\.value)
            ?? []
        result.ips =
            try fields.decodeIfPresent([AddressFields].self, forKey: .ips)?.map(\.value) ?? []
        result.routes =
            try fields.decodeIfPresent([RouteFields].self, forKey: .routes)?.map(\.value) ?? []
        result.dns =
            try fields.decodeIfPresent(DNSFields.self, forKey: .dns)?.value ?? CNIResult.DNS()
        for key in [CodingKeys.ip4, .ip6] {
            guard let family = try fields.decodeIfPresent(FamilyFields.self, forKey: key) else {
                continue
            }
            result.ips.append(family.address)
            result.routes += family.routeValues
        }
        self.result = result
        if let stated = try fields.decodeIfPresent(CNIVersion.self, forKey: .cniVersion) {
            version = stated
        } else {
            version = fields.contains(.ips) ? .v030 : .assumed
        }
    }

    /// Writes the result in the form of its version.
    ///
    /// The oldest form holds one address of each family and no interfaces: the first of each
    /// family is written. Keys that a version does not have are left out.
    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(version, forKey: .cniVersion)
        try fields.encode(DNSFields(result.dns), forKey: .dns)
        switch version.resultShape {
        case .familyKeys:
            try fields.encodeIfPresent(FamilyFields(of: result, isV4: true), forKey: .ip4)
            try fields.encodeIfPresent(FamilyFields(of: result, isV4: false), forKey: .ip6)
        case .familyNamed, .plain:
            let interfaces = result.interfaces.map { InterfaceFields($0, version) }
            let ips = result.ips.map { AddressFields($0, version) }
            let routes = result.routes.map { RouteFields($0, version) }
            if !interfaces.isEmpty { try fields.encode(interfaces, forKey: .interfaces) }
            if !ips.isEmpty { try fields.encode(ips, forKey: .ips) }
            if !routes.isEmpty { try fields.encode(routes, forKey: .routes) }
        }
    }
}

/// `ip4` or `ip6` of the oldest form.
private struct FamilyFields: Codable {
    let ip: AddressText
    let gateway: GatewayText?
    let routes: [RouteFields]?

    init?(of result: CNIResult, isV4: Bool) {
        guard let first = result.ips.first(where: { $0.address.address.isV4 == isV4 }) else {
            return nil
        }
        ip = AddressText(value: first.address)
        gateway = first.gateway.map(GatewayText.init)
        let matching = result.routes.filter { $0.dst.isV4 == isV4 }
        routes = matching.isEmpty ? nil : matching.map { RouteFields($0, .v020) }
    }

    var address: CNIResult.Address {
        CNIResult.Address(address: ip.value, gateway: gateway?.value)
    }

    var routeValues: [CNIResult.Route] { (routes ?? []).map(\.value) }
}

private struct InterfaceFields: Codable {
    let name: String
    let mac: String?
    let mtu: Int?
    let sandbox: String?
    let socketPath: String?
    let pciID: String?

    init(_ value: CNIResult.Interface, _ version: CNIVersion) {
        name = value.name
        mac = value.mac
        sandbox = value.sandbox
        mtu = version.hasExtendedKeys ? value.mtu : nil
        socketPath = version.hasExtendedKeys ? value.socketPath : nil
        pciID = version.hasExtendedKeys ? value.pciID : nil
    }

    var value: CNIResult.Interface {
        CNIResult.Interface(
            name: name,
            mac: mac,
            mtu: mtu,
            sandbox: sandbox,
            socketPath: socketPath,
            pciID: pciID
        )
    }
}

private struct AddressFields: Codable {
    let version: String?
    let address: AddressText
    let gateway: GatewayText?
    let interface: Int?

    init(_ value: CNIResult.Address, _ cniVersion: CNIVersion) {
        let isNamed = cniVersion.resultShape == .familyNamed
        version = isNamed ? (value.address.address.isV4 ? "4" : "6") : nil
        address = AddressText(value: value.address)
        gateway = value.gateway.map(GatewayText.init)
        interface = value.interface
    }

    var value: CNIResult.Address {
        CNIResult.Address(address: address.value, gateway: gateway?.value, interface: interface)
    }
}

private struct RouteFields: Codable {
    let dst: AddressText
    let gw: GatewayText?
    let mtu: Int?
    let advmss: Int?
    let priority: Int?
    let table: Int?
    let scope: Int?

    init(_ value: CNIResult.Route, _ version: CNIVersion) {
        dst = AddressText(prefix: value.dst)
        gw = value.gw.map(GatewayText.init)
        mtu = version.hasExtendedKeys ? value.mtu : nil
        advmss = version.hasExtendedKeys ? value.advmss : nil
        priority = version.hasExtendedKeys ? value.priority : nil
        table = version.hasExtendedKeys ? value.table : nil
        scope = version.hasExtendedKeys ? value.scope : nil
    }

    var value: CNIResult.Route {
        CNIResult.Route(
            dst: dst.prefix,
            gw: gw?.value,
            mtu: mtu,
            advmss: advmss,
            priority: priority,
            table: table,
            scope: scope
        )
    }
}

private struct DNSFields: Codable {
    let nameservers: [String]?
    let domain: String?
    let search: [String]?
    let options: [String]?

    init(_ value: CNIResult.DNS) {
        nameservers = value.nameservers.isEmpty ? nil : value.nameservers
        domain = value.domain
        search = value.search.isEmpty ? nil : value.search
        options = value.options.isEmpty ? nil : value.options
    }

    var value: CNIResult.DNS {
        CNIResult.DNS(
            nameservers: nameservers ?? [],
            domain: domain,
            search: search ?? [],
            options: options ?? []
        )
    }
}

/// `ADDRESS/LENGTH` as one JSON text.
private struct AddressText: Codable {
    let value: InterfaceAddress
    let prefix: Prefix

    init(value: InterfaceAddress) {
        guard let prefix = value.prefix else { preconditionFailure("the length fits the family") }
        self.value = value
        self.prefix = prefix
    }

    init(prefix: Prefix) {
        guard let value = InterfaceAddress(address: prefix.first, length: prefix.length) else {
            preconditionFailure("the length fits the family")
        }
        self.value = value
        self.prefix = prefix
    }

    init(from decoder: any Decoder) throws {
        let field = try decoder.singleValueContainer()
        guard let value = InterfaceAddress(try field.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: field,
                debugDescription: "not an address with a length"
            )
        }
        self.init(value: value)
    }

    func encode(to encoder: any Encoder) throws {
        var field = encoder.singleValueContainer()
        try field.encode(value.description)
    }
}

/// An address without a length as one JSON text.
private struct GatewayText: Codable {
    let value: IPAddress

    init(_ value: IPAddress) {
        self.value = value
    }

    init(from decoder: any Decoder) throws {
        let field = try decoder.singleValueContainer()
        guard let value = IPAddress(try field.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: field, debugDescription: "not an address")
        }
        self.value = value
    }

    func encode(to encoder: any Encoder) throws {
        var field = encoder.singleValueContainer()
        try field.encode(value.description)
    }
}
