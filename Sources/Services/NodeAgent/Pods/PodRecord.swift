import Addressing
import CNIProtocol
import NetSelection
import Netlink

/// The networks of one pod, written down before the first is made.
///
/// What is planned may have been begun, so a removal undoes the whole plan, whatever came of it:
/// two rows on the disk for an ADD however many networks it has. What our own attachments take is
/// in ``Attachment`` rows beside this.
struct PodRecord: Codable, Hashable, Sendable {
    var containerID: String
    /// The interface that the runtime asked for.
    var interface: String
    /// The name in the plugin's configuration, by which GC finds it.
    var network: String
    var netns: String
    /// Which namespace that was, since another may be at the path later; nil where none was there.
    var netnsInode: UInt64?
    /// Where plugins are looked for.
    var path: String
    /// `CNI_ARGS` as it came.
    var arguments: String
    var podNamespace: String
    var podName: String
    var state: Attachment.State
    var parts: [Part]
    var warnings: [String]
    /// What the plugins before this one brought about; nil unless it is a later one of a chain.
    var previous: String?
    /// Whether another call had begun with a network for the container; nil in rows of a release
    /// that did not ask.
    var isGuest: Bool?
    /// The rules in the pod.
    var rules: [String: UInt32] = [:]

    /// One network.
    struct Part: Codable, Hashable, Sendable {
        /// The network for people.
        var name: String
        var interface: String
        /// The plugins, see ``NetworkList/text``.
        var list: String
        /// What is asked beyond it, see ``AttachmentWishes/json``.
        var wishes: String
        /// The next hops that the pod names for its default routes.
        var gateways: [String]
        var isDefault: Bool
        /// Why the pod gets it.
        var reason: String
        /// What came of it, as JSON; nil until it is there.
        var result: String?
        /// Whether the pod's default routes lead through it.
        var isRouteDefault = false
    }

    var key: AttachmentKey { AttachmentKey(containerID: containerID, interface: interface) }

    /// The rules as the kernel's adapter knows them.
    var sourceRules: [SourceRule] {
        rules.sorted { $0.key < $1.key }.compactMap { source, table in
            IPAddress(source).map { SourceRule(source: $0, table: table) }
        }
    }

    /// Whether programs of others have a part in it.
    var hasPlugins: Bool {
        parts.contains { $0.network?.plugins.contains { !$0.isOwn } ?? true }
    }

    /// The path, while the namespace there is the one that this is about.
    ///
    /// A runtime gives the same path to the pod's next sandbox, whose interfaces are none of ours
    /// to remove.
    var presentNetns: String? {
        guard let netnsInode, (try? Netns.inode(netns)) == netnsInode else { return nil }
        return netns
    }
}

extension PodRecord.Part {
    /// Writes a selected network down.
    init(_ network: SelectedNetwork) {
        name = network.name
        interface = network.interface
        list = network.list.text
        wishes = network.wishes.json.text
        gateways = network.gateways.map(\.description)
        isDefault = network.isDefault
        reason = network.reason
    }

    /// The plugins; they were read before they were written down.
    var network: NetworkList? { try? NetworkList(parsing: list) }

    /// What is asked beyond them.
    var asked: AttachmentWishes {
        (try? JSONValue(parsing: wishes)).map { AttachmentWishes(json: $0) } ?? AttachmentWishes()
    }

    /// The result as JSON.
    var resultValue: JSONValue? { result.flatMap { try? JSONValue(parsing: $0) } }
}
