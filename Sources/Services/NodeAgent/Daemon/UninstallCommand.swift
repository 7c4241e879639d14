import ArgumentParser
import BPFObjects
import CNIProtocol
import Determinism
import Foundation
import LocalAPI
import Netlink
import SQLiteRows

/// `genied uninstall`: takes everything of Genie Ring off this node.
struct UninstallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genied uninstall",
        abstract: "Take Genie Ring off this node, and say what was taken away.",
        discussion: """
            Detaches every program, removes pods' interfaces (with them go their addresses and routes), \
            maps, pins, the socket and removals that were left for a daemon. genied must not run. The \
            database stays unless --data is given: with it go the node's identity, its address blocks \
            and its share of the ring's registers, so take the node out of the ring first, with \
            'genie-ring node remove' on another one. A queueing discipline that clsact needed stays, as \
            others may use it by now.

            Example: genied uninstall --help
            """
    )

    @Option(help: "The folder of the node's database.")
    var dataDir = "/var/lib/genie"
    @Option(help: "The folder in a BPF file system that programs and maps are pinned in.")
    var pinDir = "/sys/fs/bpf/genie"
    @Option(help: "The unix socket of the node API.")
    var socket = LocalAPI.defaultSocketPath
    @Option(help: "Where the plugin leaves removals while no genied runs.")
    var cniSpool = "/var/lib/genie/cni-spool"
    @Flag(help: "Go on although pods are attached: they lose their networks.")
    var force = false
    @Flag(help: "Remove the database, too.")
    var data = false

    func run() throws {
        guard geteuid() == 0 else { throw DaemonError.notRoot }
        let links = try Links.list()
        // Of what an earlier uninstall took away the journal tells until genied starts again; what
        // was only given another name is still a pod's.
        let recorded = try recordedPods().filter { pod in
            links.contains { link in
                link.name == pod.interface || link.index == pod.index && NodeAgent.isOurs(link)
            }
        }
        let own = "\(AttachmentKey.node.containerID):\(AttachmentKey.node.interface)"
        let others = try recordedPlugins()
        guard recorded.allSatisfy({ $0.name == own }) && others.isEmpty || force else {
            let names = recorded.map(\.name).filter { $0 != own } + others.map(\.name)
            throw UninstallError.podsAttached(SortedSet(names).elements)
        }
        for (name, network) in others {
            print(
                "NOT removed: network \(network) of \(name), which only its own plugins can take away"
            )
        }
        let removal = DataplaneRemoval(pinDirectory: pinDir)
        let names = Dictionary(
            links.map { ($0.index, $0.name) },
            uniquingKeysWith: { first, _ in first }
        )
        // Before the pins go: they name what a lost database does not.
        let interfaces = Set(recorded.map(\.interface) + (try removal?.podInterfaces() ?? []))
        if try Links.delete(NodeAgent.mergeDevice) == .deleted {
            print("removed interface \(NodeAgent.mergeDevice)")
        }
        // Before their programs: without them pods would reach the node.
        for name in interfaces.sorted() where try Links.delete(name) == .deleted {
            print("removed interface \(name), with the pod's end, its addresses and routes")
        }
        for removed in try removal?.run() ?? [] { say(removed, names) }
        // Whatever the journal says: a lost database must not leave rules behind.
        if try NodeMasquerade.remove() {
            print("removed nftables table inet \(NodeMasquerade.table)")
        }
        for path in [socket, cniSpool] { try remove(path) }
        if data { try removeData() }
        let isDatabaseThere = FileManager.default.fileExists(atPath: dataDir + "/genie.db")
        print(
            data || !isDatabaseThere
                ? "nothing of Genie Ring is left on this node but its programs' files; IP forwarding "
                    + "stays as it is"
                : "the database in \(dataDir) stays: --data removes it"
        )
    }

    private func say(_ removed: DataplaneRemoval.Removed, _ names: [UInt32: String]) {
        switch removed {
        case .attachment(let name, let hook, let ifindex):
            print(
                "detached \(name) from \(hook) of \(names[ifindex] ?? "an interface that is gone")"
            )
        case .map(let name): print("removed map \(name)")
        case .directory(let path): print("removed \(path)")
        }
    }

    /// What the journal says is attached.
    private func recordedPods() throws -> [(name: String, interface: String, index: UInt32)] {
        try recorded { journal in
            journal.all.map {
                ("\($0.containerID):\($0.interface)", $0.hostInterface, $0.hostIndex)
            }
        }
    }

    /// The networks of others that pods have.
    private func recordedPlugins() throws -> [(name: String, network: String)] {
        try recorded { journal in
            journal.pods.values.flatMap { record in
                record.parts.filter { $0.network?.plugins.contains { !$0.isOwn } == true }
                    .map { ("\(record.containerID):\($0.interface)", $0.name) }
            }
        }
    }

    /// Reads the journal; that it can be opened shows that no daemon runs.
    private func recorded<Row>(_ rows: (Journal) -> [Row]) throws -> [Row] {
        let path = dataDir + "/genie.db"
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let store: RowStore
        do throws(RowStoreError) { store = try RowStore(path: path) } catch {
            if case .locked = error { throw UninstallError.daemonRuns }
            throw error
        }
        let found = rows(try Journal(store))
        try store.close()
        return found
    }

    private func removeData() throws {
        for file in try FileManager.default.contentsOfDirectory(atPath: dataDir)
        where file.hasPrefix("genie.db") || ["plugins.lock", "cni-failed"].contains(file) {
            try remove("\(dataDir)/\(file)")
        }
        // Others' files in it stay, and the folder with them.
        if rmdir(dataDir) == 0 { print("removed \(dataDir)") }
    }

    private func remove(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        try FileManager.default.removeItem(atPath: path)
        print("removed \(path)")
    }
}

/// Why a node is not cleared.
enum UninstallError: Error, CustomStringConvertible {
    case daemonRuns
    case podsAttached([String])

    var description: String {
        switch self {
        case .daemonRuns: "genied runs on this node: stop it first"
        case .podsAttached(let names):
            "\(names.count) pod interfaces are attached (\(names.prefix(8).joined(separator: ", "))): "
                + "delete their pods first, or say --force, and they lose their networks"
        }
    }
}
