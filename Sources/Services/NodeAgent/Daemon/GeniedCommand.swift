package import ArgumentParser
import Dispatch
import Glibc
import LocalAPI
import PeerService

/// The daemon's command line.
package struct GeniedCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "genied",
        abstract: "The Genie Ring daemon of a node: ring peer, addresses, dataplane, node API.",
        discussion: """
            The first node of a ring starts with --bootstrap, every other one with --join. A node that \
            belongs to a ring stays in it whatever is said; one that lost its database comes back with \
            --join, since --bootstrap would found a second ring. 'genied uninstall' takes everything off \
            the node again (genied uninstall --help).

            Example: genied --join 10.0.0.1:7940 --secret /etc/genie/secret --uplink eth0
            """,
        version: LocalAPI.version
    )

    @Option(help: "A member to join through, HOST:PORT; may be given several times.")
    var join: [String] = []

    @Flag(help: "Found a ring when this node belongs to none yet.")
    var bootstrap = false

    @Option(
        help: """
            With --bootstrap: into how many slots the ring is cut, for good; a power of two, 4096 for \
            more than 500 nodes.
            """
    )
    var slots = PeerSettings.slotCountDefault

    @Option(help: "The file with the cluster's secret (genie-ring secret new FILE makes one).")
    var secret: String?

    @Flag(help: "Run without a secret: anybody who reaches the ports can join and forge.")
    var insecure = false

    @Option(
        help: """
            The interface that carries the underlay; again for each further one: tunnel packets leave \
            by that which the route to a node names, and are received by all.
            """
    )
    var uplink: [String]

    @Option(help: "How uplinks receive: auto, xdp or tc.")
    var uplinkMode = AgentSettings.UplinkChoice.auto

    @Option(
        help: "The tc hook of pods and uplink: auto (tcx where the kernel has it), tcx or clsact."
    )
    var tcHook = AgentSettings.HookChoice.auto

    @Option(
        help: "This node's underlay address; when absent the first uplink's, IPv4 before IPv6."
    )
    var address: String?

    @Option(help: "The ring's port, UDP and TCP.")
    var port: UInt16 = 7_940

    @Option(help: "The folder of the node's database.")
    var dataDir = "/var/lib/genie"

    @Option(help: "This node's name; the host's name when absent.")
    var nodeName: String?

    @Option(
        help: "This node's failure domain, such as a rack; owners of a record are spread over them."
    )
    var zone = ""

    @Option(
        help: "What the members list is to say of this node, such as rack=r1; at most 64 bytes."
    )
    var metadata = ""

    @Option(help: "The unix socket of the node API.")
    var socket = LocalAPI.defaultSocketPath

    @Option(help: "The group that may use the socket beside root.")
    var socketGroup: String?

    @Option(help: "The folder in a BPF file system that programs and maps are pinned in.")
    var pinDir = "/sys/fs/bpf/genie"

    @Option(help: "Where the plugin leaves removals while no genied runs (its GENIE_SPOOL).")
    var cniSpool = "/var/lib/genie/cni-spool"

    @Option(
        help: """
            What is known of pods and their networks: a list of Pod, Namespace, \
            NetworkAttachmentDefinition, Logicalnetwork and Physicalnetwork objects as JSON, read anew \
            for each pod.
            """
    )
    var podFacts: String?

    @Option(
        help: """
            How many of a group's owners have to hold a pod's endpoint before its ADD returns: one, \
            quorum or all.
            """
    )
    var publishLevel = AgentSettings.PublishLevel.quorum

    @Option(
        help: """
            Where to serve /metrics and /healthz over HTTP, ADDRESS or ADDRESS:PORT (port 7941 when \
            absent); nowhere unless given. Whoever reaches it may read.
            """
    )
    var metricsAddress: String?

    @Flag(help: "Let /metrics tell of every pod interface, and not only of VPCs.")
    var endpointMetrics = false

    @Option(help: "How much to log: trace, debug, info, notice, warning, error.")
    var logLevel = "info"

    package init() {}

    /// Parses the process's arguments and runs the daemon until it is told to stop.
    package static func runAndExit() -> Never {
        let words = CommandLine.arguments.dropFirst()
        if words.first == "uninstall" { uninstall(Array(words.dropFirst())) }
        let command: GeniedCommand
        do {
            command = try parse()
        } catch {
            let status = exitCode(for: error)
            let text = fullMessage(for: error)
            if status == .success { print(text) } else { printError(text) }
            // The library's code for wrong usage is 64; ours is that of most tools.
            Glibc.exit(status == .validationFailure ? 2 : status.rawValue)
        }
        start(command)
        dispatchMain()
    }

    /// A command of its own: the daemon's options would be asked for otherwise.
    private static func uninstall(_ arguments: [String]) -> Never {
        do {
            try UninstallCommand.parse(arguments).run()
            Glibc.exit(0)
        } catch {
            let status = UninstallCommand.exitCode(for: error)
            let isOurs = error is DaemonError || error is UninstallError
            let text = isOurs ? "genied: \(error)" : UninstallCommand.fullMessage(for: error)
            if status == .success { print(text) } else { printError(text) }
            Glibc.exit(status == .validationFailure ? 2 : status.rawValue)
        }
    }

    /// Not in the caller, which is on the main actor: closures made there may run nowhere else.
    private nonisolated static func start(_ command: GeniedCommand) {
        Task.detached {
            do {
                try await Daemon(DaemonOptions(command)).run()
                Glibc.exit(0)
            } catch {
                printError("genied: \(error)")
                if error is UplinkAddressChanged { startAnew() }
                Glibc.exit(1)
            }
        }
    }

    /// Puts a new process in this one's place, with the same arguments; returns where that fails.
    private nonisolated static func startAnew() {
        var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
        execv("/proc/self/exe", &arguments)
        printError("genied: cannot start anew: \(String(cString: strerror(errno)))")
    }

    private nonisolated static func printError(_ text: String) {
        var bytes = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, &bytes, bytes.count)
    }
}

extension AgentSettings.UplinkChoice: ExpressibleByArgument {}
extension AgentSettings.HookChoice: ExpressibleByArgument {}
extension AgentSettings.PublishLevel: ExpressibleByArgument {}
