import Addressing
import CNIProtocol
import Determinism

extension NetworkResolver {
    /// A logical network of the pod's namespace.
    ///
    /// A dedicated physical network brings its plugin; on a shared one the logical network names
    /// plugin and part. The part becomes the plugin's own network: under a name of its own, and
    /// for a bridge on a bridge of its own, since two parts have two gateways.
    func logical(
        _ name: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> NetworkList {
        let namespace = pod.namespace.isEmpty ? "default" : pod.namespace
        let key = "\(namespace)/\(name)"
        guard let logical = pod.logicalNetworks[key] else {
            throw .unknownNetwork(
                field,
                name: key,
                known: pod.logicalNetworks.keys.filter { $0.hasPrefix("\(namespace)/") }
            )
        }
        let physical = try physical(of: logical, namespace, key, field)
        let plugin = physical?.isDedicated == true ? physical?.plugin : logical.plugin
        guard let plugin, !plugin.isEmpty else {
            throw .badNetwork(
                field,
                name: key,
                reason: physical?.isDedicated == true
                    ? "physical network \(logical.physicalNet) is dedicated and names no plugin"
                    : "it names no plugin, which it must where no dedicated network brings one"
            )
        }
        if physical?.isDedicated == false, logical.subnet.isEmpty {
            throw .badNetwork(
                field,
                name: key,
                reason: "it names no sub_subnet, which its part of a shared network is told by"
            )
        }
        let part = try part(of: logical, physical, key, field)
        var list = try network(plugin, field)
        guard let part else { return list }
        guard !list.plugins[0].isOwn else {
            throw .badNetwork(
                field,
                name: key,
                reason: "group \(plugin) has its own subnet: leave sub_subnet out"
            )
        }
        list.name = "\(list.name).\(namespace).\(name)"
        Self.set(part, interface: physical?.interface ?? "", of: &list)
        return list
    }

    private func physical(
        of logical: LogicalNetwork,
        _ namespace: String,
        _ key: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> PhysicalNetwork? {
        if logical.physicalNet.isEmpty { return nil }
        guard let physical = pod.physicalNetworks["\(namespace)/\(logical.physicalNet)"] else {
            throw .badNetwork(
                field,
                name: key,
                reason: "physical network \(namespace)/\(logical.physicalNet) is not there"
            )
        }
        return physical
    }

    /// The addresses of a logical network: its own, or all of a dedicated physical one.
    private func part(
        of logical: LogicalNetwork,
        _ physical: PhysicalNetwork?,
        _ key: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> Prefix? {
        func prefix(_ text: String, _ what: String) throws(SelectionError) -> Prefix? {
            if text.isEmpty { return nil }
            guard let block = InterfaceAddress(text)?.prefix else {
                throw .badNetwork(field, name: key, reason: "\(what) \(text.prefix(60)) is no CIDR")
            }
            return block
        }
        let whole = try prefix(physical?.subnet ?? "", "its physical network's subnet")
        guard let part = try prefix(logical.subnet, "sub_subnet") else { return whole }
        if let whole {
            guard whole.isV4 == part.isV4, whole.length <= part.length, whole.contains(part.first)
            else {
                throw .badNetwork(
                    field,
                    name: key,
                    reason: "sub_subnet \(part) does not lie in \(whole) of its physical network"
                )
            }
        }
        return part
    }

    private static func set(_ part: Prefix, interface: String, of list: inout NetworkList) {
        var object = list.plugins[0].object
        var ipam = object["ipam"]?.members.map(JSONValue.object) ?? .object([])
        if ipam["type"] == nil { ipam["type"] = .string("host-local") }
        // Ends and gateway of the file's own range do not lie in the part.
        for key in ["rangeStart", "rangeEnd", "gateway"] { ipam[key] = nil }
        if ipam["ranges"] != nil {
            ipam["ranges"] = .array([.array([.members(("subnet", .string("\(part)")))])])
        } else {
            ipam["subnet"] = .string("\(part)")
        }
        object["ipam"] = ipam
        switch list.plugins[0].type {
        case "bridge":
            var hash = StableHash(seed: 7)
            hash.combine(list.name.utf8)
            object["bridge"] = .string("gl" + String(hash.value, radix: 16).prefix(11))
        case "macvlan", "ipvlan", "vlan":
            if !interface.isEmpty { object["master"] = .string(interface) }
        default: break
        }
        list.plugins[0].object = object
    }
}
