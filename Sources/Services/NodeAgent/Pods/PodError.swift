import CNIProtocol
import NetSelection
import Netlink
import PluginProcess

/// Why the networks of a pod were not made, checked or removed.
enum PodError: Error, Sendable {
    /// The request of the pod or the configuration makes no sense.
    case selection(SelectionError)
    /// What is known of pods could not be read.
    case facts(path: String, reason: String)
    /// A plugin is not where plugins are looked for.
    case pluginMissing(Place, path: String)
    /// A plugin answered with an error.
    case refused(Place, CNIError)
    /// A plugin failed without an answer of the protocol.
    case failed(Place, status: Int32, said: String)
    /// A plugin could not be run.
    case process(PluginProcessError)
    /// What a plugin gave as its result is none.
    case badResult(Place, detail: String)
    /// The configuration asks a place in the ring for what it does not do.
    case unsupported(field: String, instead: String)
    /// The pod's routes.
    case routes(NetlinkError)

    /// Which plugin of which network.
    struct Place: Hashable, Sendable, CustomStringConvertible {
        let network: String
        let type: String
        let interface: String
        /// Why the pod has the network.
        let reason: String

        var description: String {
            "plugin \(type) of network \(network) for \(interface)"
                + (reason.isEmpty ? "" : " (\(reason))")
        }
    }

    /// A stable code for programs.
    var code: String {
        switch self {
        case .selection: "pod.selection"
        case .facts: "pod.facts"
        case .pluginMissing: "plugin.missing"
        case .refused: "plugin.refused"
        case .failed, .process: "plugin.failed"
        case .badResult: "plugin.bad_result"
        case .unsupported: "plugin.unsupported"
        case .routes: "pod.routes"
        }
    }

    /// The plugin's number: that of a plugin which answered with one goes through.
    var cniCode: CNIErrorCode {
        switch self {
        case .selection, .pluginMissing: .invalidConfiguration
        case .facts, .process(.notLocked): .tryAgainLater
        case .refused(_, let error): error.code
        case .failed, .process, .badResult: .delegateFailed
        case .unsupported: .unsupportedField
        case .routes: .inputOutputFailure
        }
    }
}

extension PodError: CustomStringConvertible {
    var description: String {
        switch self {
        case .selection(let error): "\(error)"
        case .facts(let path, let reason):
            "cannot read what is known of pods in \(path): \(reason)"
        case .pluginMissing(let place, let path):
            "\(place) is not in \(path.isEmpty ? "CNI_PATH, which is empty" : path): install it there"
        case .refused(let place, let error): "\(place): \(error)"
        case .failed(let place, let status, let said):
            "\(place) ended with status \(status) and no answer"
                + (said.isEmpty ? "" : "; it said: \(said)")
        case .process(let error): "\(error)"
        case .badResult(let place, let detail): "\(place) gave what is no result: \(detail)"
        case .unsupported(let field, let instead): "\(field) is not served: \(instead)"
        case .routes(let error): "cannot set the pod's routes: \(error)"
        }
    }
}
