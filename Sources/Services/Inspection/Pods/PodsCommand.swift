import ArgumentParser
import LocalAPI
import LocalSocket

/// `genie-ring pods`: the pods of this node and their networks.
struct PodsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pods",
        abstract: "List this node's pods with their networks, explain one's, or forget one.",
        subcommands: [PodsListCommand.self, PodsExplainCommand.self, PodsForgetCommand.self],
        defaultSubcommand: PodsListCommand.self
    )
}

/// `genie-ring pods list`.
struct PodsListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the interfaces of this node's pods.",
        discussion: """
            With -o json also the annotations with results that tools read, by their keys.

            Example: genie-ring pods list
            """
    )

    @OptionGroup var node: NodeOptions

    func run() throws {
        let list = try node.client.get("/v1/pods", as: PodList.self)
        try render(list, as: node.output, empty: "no pods") { list in
            TextTable(
                header: [
                    "POD", "INTERFACE", "NETWORK", "ADDRESS", "PLUGIN", "STATE", "CONTAINER",
                ],
                rows: list.pods.flatMap { pod in
                    pod.interfaces.map { interface in
                        [
                            pod.pod.isEmpty ? "-" : pod.pod,
                            interface.interface + (interface.isDefault ? "*" : ""),
                            interface.network,
                            interface.addresses.isEmpty
                                ? "-" : interface.addresses.joined(separator: ","),
                            interface.plugins.joined(separator: ","), pod.state,
                            String(pod.containerID.prefix(12)),
                        ]
                    }
                }
            )
        }
        for pod in list.pods where ["removing", "damaged"].contains(pod.state) {
            let name = pod.pod.isEmpty ? pod.containerID : pod.pod
            for warning in pod.warnings { printNote("\(name): \(warning)") }
        }
    }
}

/// `genie-ring pods forget`.
struct PodsForgetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Give up a pod whose removal goes on failing in a plugin of others.",
        discussion: """
            A plugin that refuses its DEL is asked again and again, each time later, up to every five \
            minutes. Where it will never do it, its pod can be forgotten. It is asked once more, what \
            Genie Ring made itself is undone, and what the plugin may have left is named, to be looked \
            for by hand.

            Example: genie-ring pods forget default/web-1
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The pod, NAMESPACE/NAME, or its container's id.") var pod: String

    func run() throws {
        let path = "/v1/pods?pod=\(LocalSocketClient.escaped(pod))"
        let answer = try node.client.delete(path, as: ForgottenPod.self)
        try render(answer, as: node.output, empty: "nothing is left of \(answer.pod)") { answer in
            TextTable(
                header: ["INTERFACE", "NETWORK", "MAY BE LEFT BY"],
                rows: answer.left.map {
                    [$0.interface, $0.network, $0.plugins.joined(separator: ",")]
                }
            )
        }
    }
}

/// `genie-ring pods explain`.
struct PodsExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say why a pod has its networks, or which it would get here.",
        discussion: """
            Of a pod that is not on this node, what is known of it and of the node now decides, as it \
            would for an ADD; nothing is attached.

            Example: genie-ring pods explain default/web-1
            """
    )

    @OptionGroup var node: NodeOptions
    @Argument(help: "The pod, NAMESPACE/NAME.") var pod: String

    func run() throws {
        let path = "/v1/pods/explain?pod=\(LocalSocketClient.escaped(pod))"
        try show(try node.client.get(path, as: PodPlan.self), as: node.output)
    }
}

/// Prints a plan; what does nothing goes beside it.
func show(_ plan: PodPlan, as format: OutputFormat) throws {
    try render(plan, as: format, empty: "no networks") { plan in
        TextTable(
            header: [
                "INTERFACE", "NETWORK", "PLUGINS", plan.isAttached ? "HAS IT BY" : "GETS IT BY",
            ],
            rows: plan.networks.map { network in
                [
                    network.interface + (network.isDefault ? "*" : ""), network.network,
                    network.plugins.joined(separator: ","), network.reason,
                ]
            }
        )
    }
    for warning in plan.warnings { printNote(warning) }
}
