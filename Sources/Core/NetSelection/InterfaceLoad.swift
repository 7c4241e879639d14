import CNIProtocol
import Determinism

/// Which of the node's interfaces carry a network, and how much goes through them.
///
/// CNI-Genie asked cAdvisor for interfaces whose names begin with `flan`, `cali` or `weav`; the
/// same follows from the node's own counters, and for more plugins.
enum InterfaceLoad {
    /// What the network's interfaces carry, in bytes a second; nil where nobody can tell which
    /// interfaces are the network's.
    static func load(of list: NetworkList, _ loads: SortedMap<String, UInt64>) -> UInt64? {
        let plugin = list.plugins[0]
        let isOfNetwork: (String) -> Bool
        switch plugin.type {
        case "bridge":
            let bridge = plugin.object["bridge"]?.string ?? "cni0"
            isOfNetwork = { $0 == bridge }
        case "macvlan", "ipvlan", "vlan":
            guard let master = plugin.object["master"]?.string else { return nil }
            isOfNetwork = { $0 == master }
        case NetworkConfiguration.ownType: isOfNetwork = { $0.hasPrefix("gr") }
        case "flannel", "calico", "weave-net", "weave":
            let start = plugin.type.prefix(4)
            isOfNetwork = { $0.hasPrefix(start) }
        default: return nil
        }
        // An interface that is not there yet carries nothing.
        return loads.filter { isOfNetwork($0.key) }.reduce(0) { $0 &+ $1.value }
    }
}
