import Addressing
import CNIProtocol
import Netlink

extension NodeAgent {
    /// Tables of pods begin here; a namespace of a pod has none of its own beside the kernel's.
    private static let firstTable: UInt32 = 10_000

    /// Chooses the network that the pod's default routes lead through: the one that names their
    /// next hops, else the first that brought any, the cluster-wide one before the others.
    ///
    /// Of the others' results the default routes are taken, since the pod has none of them: a
    /// CHECK would miss them.
    /// - Returns: the results in their order, what came before this plugin first.
    func chooseRoutes(_ record: inout PodRecord) throws(AgentError) -> [AttachmentResult] {
        let before = record.previous.flatMap { try? JSONValue(parsing: $0) }
            .flatMap { try? Self.result($0) }
        let named = record.parts.firstIndex { !$0.gateways.isEmpty }
        let order =
            record.parts.indices.filter { record.parts[$0].isDefault }
            + record.parts.indices.filter { !record.parts[$0].isDefault }
        var chosen = named ?? order.first { record.parts[$0].hasDefaultRoute }
        if named == nil, before != nil { chosen = nil }
        for index in record.parts.indices {
            record.parts[index].isRouteDefault = index == chosen
            let keepsRoutes = index == chosen && named == nil
            guard !keepsRoutes, record.parts.count > 1 || before != nil || named != nil,
                var value = record.parts[index].resultValue,
                let routes = value["routes"]?.array
            else { continue }
            let left = routes.filter { route in
                !["0.0.0.0/0", "::/0"].contains(route["dst"]?.string ?? "")
            }
            value["routes"] = left.isEmpty ? nil : .array(left)
            record.parts[index].result = value.text
        }
        let first = before.map {
            AttachmentResult(interface: record.interface, result: $0, isDefault: named == nil)
        }
        return (first.map { [$0] } ?? []) + record.parts.compactMap(\.attachmentResult)
    }

    /// The ways out of the pod, through each interface that has an address.
    static func ways(_ record: PodRecord, _ results: [AttachmentResult]) -> [PodRoutes.Way] {
        let named = record.parts.first { !$0.gateways.isEmpty }
        return results.enumerated().compactMap { index, result in
            let addresses = result.podAddresses.compactMap {
                Netlink.InterfaceAddress($0.address.address, prefixLength: $0.address.length)
            }
            guard !addresses.isEmpty else { return nil }
            var gateways: [IPAddress] = []
            for gateway in result.podAddresses.compactMap(\.gateway)
            where !gateways.contains(where: { $0.isV4 == gateway.isV4 }) {
                gateways.append(gateway)
            }
            let own = named?.interface == result.interface ? named?.gateways ?? [] : []
            return PodRoutes.Way(
                interface: result.interface,
                addresses: addresses,
                gateways: gateways,
                defaultGateways: named != nil
                    ? own.compactMap { IPAddress($0) }
                    : (result.isDefault ? result.defaultGateways : []),
                table: firstTable + UInt32(index)
            )
        }
    }
}
