/// The pods of a node with their networks.
package struct PodList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The pods, by container.
    package var pods: [Item]

    /// Makes a list.
    package init(pods: [Item]) {
        self.pods = pods
    }

    /// One pod, or one call of a runtime for it.
    package struct Item: Codable, Hashable, Sendable {
        /// Namespace and name; empty where the runtime knows of none.
        package var pod: String
        /// The container that holds its namespaces.
        package var containerID: String
        /// adding, attached, removing, or damaged where an interface went away under the pod.
        package var state: String
        /// The path of its network namespace.
        package var netns: String
        /// Its interfaces in the order of its request.
        package var interfaces: [Interface]
        /// What of its request does nothing.
        package var warnings: [String]
        /// What tools read: the annotations with its results.
        package var annotations: [Annotation]

        /// Makes an item.
        package init(
            pod: String,
            containerID: String,
            state: String,
            netns: String,
            interfaces: [Interface],
            warnings: [String] = [],
            annotations: [Annotation] = []
        ) {
            self.pod = pod
            self.containerID = containerID
            self.state = state
            self.netns = netns
            self.interfaces = interfaces
            self.warnings = warnings
            self.annotations = annotations
        }
    }

    /// One annotation.
    package struct Annotation: Codable, Hashable, Sendable {
        /// Its key.
        package var key: String
        /// Its value.
        package var value: String

        /// Makes an annotation.
        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// One interface of a pod.
    package struct Interface: Codable, Hashable, Sendable {
        /// Its name.
        package var interface: String
        /// The network for people.
        package var network: String
        /// The plugins that made it.
        package var plugins: [String]
        /// Its addresses with their lengths; empty until it is made.
        package var addresses: [String]
        /// Whether it is the cluster-wide network.
        package var isDefault: Bool
        /// Why the pod has it.
        package var reason: String

        /// Makes an interface.
        package init(
            interface: String,
            network: String,
            plugins: [String],
            addresses: [String],
            isDefault: Bool,
            reason: String
        ) {
            self.interface = interface
            self.network = network
            self.plugins = plugins
            self.addresses = addresses
            self.isDefault = isDefault
            self.reason = reason
        }
    }
}

/// What a call of a runtime would do now, or did.
package struct PodPlan: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// Namespace and name of the pod; empty where the runtime knows of none.
    package var pod: String
    /// Whether the pod has these networks, or would get them.
    package var isAttached: Bool
    /// The networks in their order.
    package var networks: [Network]
    /// What of request and configuration does nothing.
    package var warnings: [String]

    /// Makes a plan.
    package init(pod: String, isAttached: Bool, networks: [Network], warnings: [String]) {
        self.pod = pod
        self.isAttached = isAttached
        self.networks = networks
        self.warnings = warnings
    }

    /// One network.
    package struct Network: Codable, Hashable, Sendable {
        /// The interface.
        package var interface: String
        /// The network for people.
        package var network: String
        /// The plugins that are called.
        package var plugins: [String]
        /// Whether it is the cluster-wide network.
        package var isDefault: Bool
        /// Why the pod gets it.
        package var reason: String
        /// What each plugin reads on standard input, results of plugins before it aside.
        package var inputs: [String]

        /// Makes a network.
        package init(
            interface: String,
            network: String,
            plugins: [String],
            isDefault: Bool,
            reason: String,
            inputs: [String]
        ) {
            self.interface = interface
            self.network = network
            self.plugins = plugins
            self.isDefault = isDefault
            self.reason = reason
            self.inputs = inputs
        }
    }
}

/// A pod whose removal was given up.
package struct ForgottenPod: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// The pod, as it was asked for.
    package var pod: String
    /// Networks that may have left something on the node.
    package var left: [Network]

    /// Makes an answer.
    package init(pod: String, left: [Network]) {
        self.pod = pod
        self.left = left
    }

    /// One network of others.
    package struct Network: Codable, Hashable, Sendable {
        /// The interface that the pod had on it.
        package var interface: String
        /// The network.
        package var network: String
        /// The plugins that were to undo it.
        package var plugins: [String]

        /// Makes a network.
        package init(interface: String, network: String, plugins: [String]) {
            self.interface = interface
            self.network = network
            self.plugins = plugins
        }
    }
}
