import Addressing
import Determinism
import Foundation
import NetModel
import SQLiteRows

/// What was done for one interface of one container, written down before it was done.
///
/// Teardown reads this and nothing else: the configuration, the namespace or the ring may be gone.
struct Attachment: Codable, Hashable, Sendable {
    /// How far it came.
    enum State: String, Codable, Sendable {
        /// ADD is under way; after a restart it is undone.
        case adding
        /// ADD succeeded.
        case attached
        /// DEL is under way; after a restart it is finished.
        case removing
    }

    var containerID: String
    var interface: String
    var netns: String
    var state: State
    var vpc: String
    var group: String
    var pool: UInt64
    var vni: UInt32
    var gateway: String
    var hostInterface: String
    var mac: String
    var address: String?
    var fence: UInt64 = 0
    /// The block of the address; nil in rows of older releases.
    var block: String?
    /// The address of the other family; absent where the group has one subnet.
    var second: SecondAddress?
    var hostIndex: UInt32 = 0
    var podNamespace: String
    var podName: String
    /// The name in the plugin's configuration, by which GC finds it; empty where it is a part of a
    /// pod's plan, nil in rows of older releases.
    var network: String?
    /// Whether the pod's default routes lead through it; nil where its first interface decides.
    var isDefaultRoute: Bool?
    /// The metric of its routes, another one for each interface of a container; nil in rows of
    /// older releases.
    var metric: UInt32?

    /// An address of the group's second subnet, with what belongs to it.
    struct SecondAddress: Codable, Hashable, Sendable {
        var address: String
        var gateway: String
        var fence: UInt64
        var block: String?
    }

    var key: AttachmentKey {
        AttachmentKey(containerID: containerID, interface: interface)
    }

    /// The addresses that it has, of one family or of both.
    var held: [HeldAddress] {
        let first = address.flatMap {
            HeldAddress(address: $0, gateway: gateway, fence: fence, block: block)
        }
        let other = second.flatMap {
            HeldAddress(
                address: $0.address,
                gateway: $0.gateway,
                fence: $0.fence,
                block: $0.block
            )
        }
        return [first, other].compactMap(\.self)
    }

    /// The full name of the group; it was checked before it was written down.
    var reference: GroupReference? { try? GroupReference(vpc: vpc, group: group) }
}

/// One address of an attachment, read.
struct HeldAddress: Hashable, Sendable {
    let address: IPAddress
    /// What the pod sends through; of the same family.
    let gateway: IPAddress
    let fence: UInt64
    /// The address block; nil in rows of older releases.
    let block: Prefix?

    init?(address: String, gateway: String, fence: UInt64, block: String?) {
        guard let address = IPAddress(address), let gateway = IPAddress(gateway),
            address.isV4 == gateway.isV4
        else { return nil }
        self.address = address
        self.gateway = gateway
        self.fence = fence
        self.block = block.flatMap { Prefix($0) }
    }
}

/// One interface of one container.
struct AttachmentKey: Hashable, Comparable, Sendable {
    let containerID: String
    let interface: String

    static func < (lhs: AttachmentKey, rhs: AttachmentKey) -> Bool {
        lhs.containerID == rhs.containerID
            ? lhs.interface < rhs.interface : lhs.containerID < rhs.containerID
    }

    /// The node itself in the open VPC; no container has such an ID (CNI specification 1.1.0,
    /// section 2).
    static let node = AttachmentKey(containerID: ":node", interface: NodeAgent.nodeDevice)

    /// The row's key; neither part holds a slash.
    var bytes: [UInt8] { Array("\(containerID)/\(interface)".utf8) }
}

/// The attachments of this node, each change durable before it is acted upon.
struct Journal: Sendable {
    private let store: RowStore
    private(set) var attachments = SortedMap<AttachmentKey, Attachment>()
    /// The pods whose networks were chosen, or are not all ours.
    private(set) var pods: [AttachmentKey: PodRecord] = [:]

    /// The numbers are part of the file's layout.
    private static let space = 10
    private static let podSpace = 13

    init(_ store: RowStore) throws {
        self.store = store
        for row in try store.rows(space: Self.space) {
            guard
                let attachment = try? JSONDecoder().decode(
                    Attachment.self,
                    from: Data(row.value ?? [])
                )
            else {
                throw PeerRowUnreadable(path: store.path)
            }
            attachments[attachment.key] = attachment
        }
        for row in try store.rows(space: Self.podSpace) {
            guard
                let pod = try? JSONDecoder().decode(PodRecord.self, from: Data(row.value ?? []))
            else {
                throw PeerRowUnreadable(path: store.path)
            }
            pods[pod.key] = pod
        }
    }

    /// Every attachment, by container and interface.
    var all: [Attachment] { attachments.values }

    mutating func record(_ attachment: Attachment) throws(AgentError) {
        let value: Data
        do { value = try JSONEncoder().encode(attachment) } catch {
            preconditionFailure("an attachment is plain data: \(error)")
        }
        try write(StoredRow(space: Self.space, key: attachment.key.bytes, value: Array(value)))
        attachments[attachment.key] = attachment
    }

    mutating func erase(_ key: AttachmentKey) throws(AgentError) {
        try write(StoredRow(space: Self.space, key: key.bytes, value: nil))
        attachments[key] = nil
    }

    mutating func record(_ pod: PodRecord) throws(AgentError) {
        let value: Data
        do { value = try JSONEncoder().encode(pod) } catch {
            preconditionFailure("a plan is plain data: \(error)")
        }
        try write(StoredRow(space: Self.podSpace, key: pod.key.bytes, value: Array(value)))
        pods[pod.key] = pod
    }

    mutating func erasePod(_ key: AttachmentKey) throws(AgentError) {
        try write(StoredRow(space: Self.podSpace, key: key.bytes, value: nil))
        pods[key] = nil
    }

    private func write(_ row: StoredRow) throws(AgentError) {
        do throws(RowStoreError) { try store.write([row]) } catch { throw .storage(error) }
    }
}

/// A journal row that this release cannot read.
struct PeerRowUnreadable: Error, CustomStringConvertible {
    let path: String

    var description: String {
        "database \(path) holds an attachment that cannot be read: start the release that wrote it"
    }
}
