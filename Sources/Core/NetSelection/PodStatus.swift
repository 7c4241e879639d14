import Addressing
package import CNIProtocol

/// What tools read of a pod's networks: the two annotations with results.
package enum PodStatus {
    /// One attachment with what came of it.
    package struct Attachment: Sendable {
        /// The network as the status names it.
        package let network: String
        /// What came of it.
        package let result: AttachmentResult
        /// Whether it is the cluster-wide network.
        package let isDefault: Bool

        /// Makes an attachment.
        package init(network: String, result: AttachmentResult, isDefault: Bool) {
            self.network = network
            self.result = result
            self.isDefault = isDefault
        }
    }

    /// The key of ``networkStatus(_:)``.
    package static let networkStatusKey = "k8s.v1.cni.cncf.io/network-status"
    /// The key of ``addressPreferences(_:)``.
    package static let addressPreferencesKey = "multi-ip-preferences"

    /// The networks with their interfaces and addresses.
    ///
    /// The form is the reference client's, which tools read: addresses without a length, `default`
    /// only where it is true.
    /// - Source: NPWG multi-network 1.3, section 5.
    package static func networkStatus(_ attachments: [Attachment]) -> String {
        var isDefaultTold = false
        let all = attachments.map { attachment in
            let result = attachment.result
            var one = JSONValue.members(
                ("name", .string(attachment.network)),
                ("interface", .string(result.interface))
            )
            let addresses = result.podAddresses
            if !addresses.isEmpty {
                one["ips"] = .strings(addresses.map { "\($0.address.address)" })
            }
            let interface = result.podInterface.map { result.result.interfaces[$0] }
            if let mac = interface?.mac, !mac.isEmpty { one["mac"] = .string(mac) }
            if let mtu = interface?.mtu { one["mtu"] = .integer(mtu) }
            if attachment.isDefault, !isDefaultTold {
                one["default"] = .bool(true)
                isDefaultTold = true
            }
            one["dns"] = dns(result.result.dns)
            let gateways = result.isDefault ? result.defaultGateways : []
            if !gateways.isEmpty { one["gateway"] = .strings(gateways.map(\.description)) }
            return one
        }
        return JSONValue.array(all).text
    }

    /// The first address of each network, as CNI-Genie wrote them; nil for fewer than two.
    package static func addressPreferences(_ attachments: [Attachment]) -> String? {
        guard attachments.count > 1 else { return nil }
        let entries = attachments.compactMap { attachment in
            attachment.result.podAddresses.first.map { ($0, attachment.result.interface) }
        }
        let ips = entries.enumerated().map { index, entry in
            JSONValue.Member(
                "ip\(index + 1)",
                .members(
                    ("ip", .string("\(entry.0.address.address)")),
                    ("interface", .string(entry.1))
                )
            )
        }
        return JSONValue.members(("multi_entry", .integer(ips.count)), ("ips", .object(ips))).text
    }

    private static func dns(_ dns: CNIResult.DNS) -> JSONValue {
        var value = JSONValue.object([])
        if !dns.nameservers.isEmpty { value["nameservers"] = .strings(dns.nameservers) }
        if let domain = dns.domain { value["domain"] = .string(domain) }
        if !dns.search.isEmpty { value["search"] = .strings(dns.search) }
        return value
    }
}
