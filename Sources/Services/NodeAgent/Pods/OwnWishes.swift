import Addressing
import CNIProtocol

/// What a pod asks of a place in the ring.
struct OwnWishes {
    /// The address; nil for any.
    let address: IPAddress?
    /// The hardware address; nil for one of ours.
    let mac: MACAddress?

    /// Reads wishes in the order in which they count: what the runtime was told of capabilities,
    /// `args` in the configuration, `CNI_ARGS`.
    ///
    /// - Parameters:
    ///   - wishes: by capability.
    ///   - others: capabilities that plugins behind this one declare.
    ///   - config: the plugin's own object, for its `args`.
    ///   - arguments: `CNI_ARGS`.
    /// - Throws: where a wish cannot be read or is none that we serve.
    /// - Source: CNI conventions: where `args` and `CNI_ARGS` ask for the same, the latter must be
    ///   ignored.
    init(
        _ wishes: AttachmentWishes,
        servedElsewhere others: [String],
        config: JSONValue,
        arguments: CNIArguments
    ) throws(AgentError) {
        for wish in wishes.runtimeConfig
        where !["ips", "mac"].contains(wish.key) && !others.contains(wish.key) {
            throw .pod(
                .unsupported(
                    field: "runtimeConfig.\(wish.key)",
                    instead: wish.key == "bandwidth"
                        ? "packets of a network of type genie pass by the queues that would bound "
                            + "them; ask without"
                        : "a network of type genie does ips and mac; put a plugin that does it "
                            + "behind genie, and declare the capability there"
                )
            )
        }
        let own = (config["args"]?["cni"]?["ips"]?.array ?? []).compactMap(\.string)
        let asked = wishes.ips.isEmpty ? own : wishes.ips
        guard asked.count <= 1 else {
            throw .pod(
                .unsupported(
                    field: "the second address of runtimeConfig.ips",
                    instead: "an interface has one address here; ask for another interface"
                )
            )
        }
        address = try Self.address(asked.first ?? arguments.ip)
        let mac = wishes.mac ?? config["args"]?["cni"]?["mac"]?.string ?? arguments.mac
        self.mac = try Self.hardwareAddress(mac)
    }

    private static func address(_ text: String?) throws(AgentError) -> IPAddress? {
        guard let text, !text.isEmpty else { return nil }
        let bare = text.prefix { $0 != "/" }
        guard let address = IPAddress(bare) else {
            throw .badRequest("\(text.prefix(50)), asked for as IP or ips, is no IP address")
        }
        return address
    }

    private static func hardwareAddress(_ text: String?) throws(AgentError) -> MACAddress? {
        guard let text, !text.isEmpty else { return nil }
        guard let address = MACAddress(text), address.bits != 0, address.bytes[0] & 1 == 0 else {
            throw .badRequest(
                "\(text.prefix(50)), asked for as MAC or mac, is no interface's hardware address"
            )
        }
        guard address != NodeAgent.gatewayMAC else {
            throw .badRequest("\(address), asked for as MAC or mac, is the gateway's: take another")
        }
        return address
    }
}
