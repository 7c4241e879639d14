/// A network configuration as the runtime gives it to the plugin.
///
/// Keys that are not ours are skipped here; whoever needs them has the text in ``CNICall/config``.
/// - Source: CNI specification 1.1.0, section 1; CNI conventions for `runtimeConfig`.
package struct NetworkConfiguration: Codable, Hashable, Sendable {
    /// The plugin type that needs a VPC and a pod group.
    package static let ownType = "genie"

    /// The version as written; 0.1.0 where the key is missing.
    package let cniVersion: String
    /// The network's name; empty where the key is missing, which ``refusal(of:)`` tells.
    package let name: String
    /// The plugin's name.
    package let type: String
    /// The VPC to attach to.
    package let vpc: String?
    /// The pod group in it.
    package let group: String?
    /// What earlier plugins, or for CHECK and DEL the ADD, brought about.
    package let prevResult: VersionedCNIResult?
    /// What is wrong with a key that a DEL needs not, which must not stop it; nil for nothing.
    package let flaw: String?
    /// What the runtime asks for through declared capabilities.
    package let runtimeConfig: RuntimeConfiguration?
    /// The attachments that GC must keep; nil where the key is missing.
    package let validAttachments: [Attachment]?

    /// An interface of a container, as GC lists them.
    package struct Attachment: Codable, Hashable, Sendable {
        /// The container.
        package let containerID: String
        /// The interface in it.
        package let ifname: String

        /// Makes an attachment.
        package init(containerID: String, ifname: String) {
            self.containerID = containerID
            self.ifname = ifname
        }
    }

    /// The well-known capabilities that we serve.
    package struct RuntimeConfiguration: Codable, Hashable, Sendable {
        /// The hardware address asked for.
        package let mac: String?
        /// The addresses asked for, with or without a length.
        package let ips: [String]?
        /// The rates asked for.
        package let bandwidth: Bandwidth?
    }

    /// Rates in bits a second and bursts in bits, as the convention has them.
    package struct Bandwidth: Codable, Hashable, Sendable {
        /// Towards the container, bits a second.
        package let ingressRate: UInt64?
        /// Towards the container, bits.
        package let ingressBurst: UInt64?
        /// Out of the container, bits a second.
        package let egressRate: UInt64?
        /// Out of the container, bits.
        package let egressBurst: UInt64?
    }

    private enum CodingKeys: String, CodingKey {
        case cniVersion
        case name
        case type
        case vpc
        case group
        case prevResult
        case runtimeConfig
        case validAttachments = "cni.dev/valid-attachments"
        case attachments = "cni.dev/attachments"
    }

    /// Reads a configuration.
    ///
    /// - Throws: `DecodingError` where name, version or type is no text; the answer is then code 6.
    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        cniVersion =
            try fields.decodeIfPresent(String.self, forKey: .cniVersion)
            ?? CNIVersion.assumed.rawValue
        name = try fields.decodeIfPresent(String.self, forKey: .name) ?? ""
        type = try fields.decodeIfPresent(String.self, forKey: .type) ?? ""
        var flaw: String?
        func read<Value: Decodable>(_ type: Value.Type, _ key: CodingKeys) -> Value? {
            do { return try fields.decodeIfPresent(type, forKey: key) } catch {
                // The library throws something of its own for a number that does not fit.
                let error =
                    error as? DecodingError
                    ?? .dataCorrupted(.init(codingPath: [], debugDescription: ""))
                flaw = flaw ?? error.flaw(in: key.rawValue)
                return nil
            }
        }
        vpc = read(String.self, .vpc)
        group = read(String.self, .group)
        prevResult = read(VersionedCNIResult.self, .prevResult)
        runtimeConfig = read(RuntimeConfiguration.self, .runtimeConfig)
        // The second spelling is one that a released runtime library writes beside the first.
        validAttachments =
            read([Attachment].self, .validAttachments) ?? read([Attachment].self, .attachments)
        self.flaw = flaw
    }

    /// Writes the configuration with the keys that were read.
    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(cniVersion, forKey: .cniVersion)
        try fields.encode(name, forKey: .name)
        try fields.encode(type, forKey: .type)
        try fields.encodeIfPresent(vpc, forKey: .vpc)
        try fields.encodeIfPresent(group, forKey: .group)
        try fields.encodeIfPresent(prevResult, forKey: .prevResult)
        try fields.encodeIfPresent(runtimeConfig, forKey: .runtimeConfig)
        try fields.encodeIfPresent(validAttachments, forKey: .validAttachments)
    }

    /// The version, when it is one that we speak.
    package var version: CNIVersion? { CNIVersion(rawValue: cniVersion) }

    /// Why a call with this configuration cannot be served; nil when nothing is wrong.
    ///
    /// DEL, GC and STATUS need no VPC: what they act on was recorded when it was made.
    /// - Returns: code 7 for the name, a missing VPC, group or previous result; code 6 for what has
    ///   the wrong form; code 1 for the version.
    package func refusal(of verb: CNIVerb) -> CNIError? {
        if let refusal = CNIRules.refusal(of: verb, cniVersion: cniVersion, name: name) {
            return refusal
        }
        // GC acts on the attachments alone.
        let isNeeded = verb == .collect ? validAttachments == nil : verb != .delete
        if let flaw, isNeeded {
            return CNIError(
                .decodingFailure,
                "in the configuration of network \(name) \(flaw)",
                cniVersion: cniVersion
            )
        }
        switch verb {
        case .delete, .collect, .status, .version: return nil
        case .add, .check: break
        }
        // Without either it is a choice of networks and no network.
        if type == Self.ownType, vpc != nil || group != nil {
            let missing = [("vpc", vpc), ("group", group)]
                .filter { ($0.1 ?? "").isEmpty }
                .map { "\"\($0.0)\"" }
            guard missing.isEmpty else {
                return CNIError(
                    .invalidConfiguration,
                    "network \(name) names no place in the ring; add"
                        + " \(missing.joined(separator: " and ")) to its configuration",
                    cniVersion: cniVersion
                )
            }
        }
        if verb == .check, prevResult == nil {
            return CNIError(
                .invalidConfiguration,
                "CHECK of network \(name) came without prevResult",
                cniVersion: cniVersion
            )
        }
        return nil
    }
}
