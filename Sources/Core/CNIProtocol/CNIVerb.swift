/// What a runtime asks of a plugin, as `CNI_COMMAND` spells it.
///
/// - Source: CNI specification 1.1.0, section 2.
package enum CNIVerb: String, Codable, Hashable, Sendable, CaseIterable {
    /// Attach a container to a network.
    case add = "ADD"
    /// Detach it; repeats succeed.
    case delete = "DEL"
    /// Tell whether an attachment is as ADD left it.
    case check = "CHECK"
    /// Drop every attachment that the runtime does not list.
    case collect = "GC"
    /// Tell whether an ADD could be served now.
    case status = "STATUS"
    /// List the versions that are spoken.
    case version = "VERSION"

    /// The oldest configuration version that may be given this verb.
    package var oldestVersion: CNIVersion {
        switch self {
        case .add, .delete, .version: .v010
        case .check: .v040
        case .collect, .status: .v110
        }
    }

    /// The variables that must be set and not empty, in the order in which errors list them.
    package var requiredVariables: [CNIVariable] {
        switch self {
        case .add, .check: [.command, .containerID, .netns, .ifname, .path]
        case .delete: [.command, .containerID, .ifname, .path]
        case .collect, .status: [.command, .path]
        case .version: [.command]
        }
    }

    /// Whether the call is about one interface of one container.
    package var namesAttachment: Bool {
        switch self {
        case .add, .delete, .check: true
        case .collect, .status, .version: false
        }
    }
}

/// The environment variables of the protocol.
package enum CNIVariable: String, Hashable, Sendable, CaseIterable {
    /// The verb.
    case command = "CNI_COMMAND"
    /// The container, as the runtime names it.
    case containerID = "CNI_CONTAINERID"
    /// The path of its network namespace.
    case netns = "CNI_NETNS"
    /// The interface to make in it.
    case ifname = "CNI_IFNAME"
    /// `KEY=VALUE` pairs joined by semicolons.
    case args = "CNI_ARGS"
    /// The directories of plugins, joined by colons.
    case path = "CNI_PATH"
}
