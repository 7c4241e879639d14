package import Addressing
package import CNIProtocol

/// One attachment that a pod is to get.
package struct SelectedNetwork: Hashable, Sendable {
    /// The network for people: a file's or definition's name, or `VPC/GROUP`.
    package var name: String
    /// The interface in the pod.
    package var interface: String
    /// What is to be called.
    package var list: NetworkList
    /// What the pod asks of it.
    package var wishes: AttachmentWishes
    /// The next hops of the pod's default routes, where the pod names them.
    package var gateways: [IPAddress]
    /// Whether this is the pod's cluster-wide network.
    package var isDefault: Bool
    /// Why the pod gets it.
    package var reason: String
}

/// What a pod gets, in its order; the first is made before the others.
package struct Selection: Hashable, Sendable {
    /// The attachments; empty only behind a plugin that made the first itself.
    package var networks: [SelectedNetwork]
    /// What in the request or the configuration does nothing.
    package var warnings: [String]
}
