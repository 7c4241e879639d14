import Addressing
import CNIProtocol
import Determinism
import Netlink

extension NodeAgent {
    /// Tables of pods begin here; a namespace of a pod has none of its own beside the kernel's.
    private static let firstTable: UInt32 = 10_000
    /// Tables of interfaces that came by a call each; their metrics differ.
    fileprivate static let firstTableAlone: UInt32 = 20_000

    /// Chooses the network that the pod's default routes lead through: the one that names their
    /// next hops, else the first that brought any, the cluster-wide one before the others.
    ///
    /// Where the container had a network before this plan, that one's stay.
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
        let isGuest = record.isGuest == true
        if named == nil, isGuest { chosen = nil }
        for index in record.parts.indices {
            record.parts[index].isRouteDefault = index == chosen
            let keepsRoutes = index == chosen && named == nil
            guard !keepsRoutes, record.parts.count > 1 || isGuest || named != nil,
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

    /// The routes through next hops that a result speaks of.
    static func promised(_ result: CNIResult?) -> [Route] {
        (result?.routes ?? []).compactMap { route in
            route.gw.flatMap { Route(destination: route.dst, gateway: $0) }
        }
    }

    /// The first of the routes through an interface's own next hops that is not there any more.
    ///
    /// Others' next hops are others' to check, and copies by source are no routes of their own.
    /// What a plugin behind us has moved into a table of its own counts (sbr leaves nothing but a
    /// default route there), and so does a default route that another call took over.
    func lostRoute(
        of attachment: Attachment,
        _ routes: [Route],
        present: [Route]
    ) -> Route? {
        let isShared = isLedElsewhere(attachment.key)
        let copies = sourceTables(of: attachment.containerID)
        let found = present.filter { !copies.contains($0.table) }
        return routes.first { route in
            guard let gateway = route.gateway,
                attachment.held.contains(where: { $0.gateway == gateway })
            else { return false }
            if isShared, route.destination.length == 0 { return false }
            let moved = Route.byDefault(via: gateway)
            return !found.contains { other in
                route.isLike(other) || moved.isLike(other) && other.table != Route.mainTable
            }
        }
    }

    /// The tables that packets of a container find by their source, with copies of the main one's.
    func sourceTables(of containerID: String) -> Set<UInt32> {
        Set(
            journal.pods.values.filter { $0.containerID == containerID }
                .flatMap { $0.rules.values }
                + journal.attachments.values.filter { $0.containerID == containerID }
                .map(\.way.table)
        )
    }

    /// Whether a plan for the container that an interface is no part of has its default routes.
    func isLedElsewhere(_ key: AttachmentKey) -> Bool {
        journal.pods.values.contains { plan in
            plan.containerID == key.containerID && plan.parts.contains(where: \.isRouteDefault)
                && !plan.parts.contains { $0.interface == key.interface }
        }
    }

    /// Lets each address of a container answer through its own interface, where a runtime has asked
    /// for several with a call each; those of a plan see to it themselves.
    func routeBySource(_ attachment: Attachment) async throws(AgentError) {
        let siblings = siblings(of: attachment)
        guard attachment.isAlone, siblings.count > 1 else { return }
        let ways = siblings.map { sibling in
            var way = sibling.way
            way.mayBeGone = sibling.key != attachment.key
            return way
        }
        let netns = attachment.netns
        try await changeRoutes { () throws(NetlinkError) in
            try PodRoutes.apply(ways, netnsPath: netns)
        }
    }

    /// Takes the rules of an interface away that is about to go, where its container stays.
    func forgetSource(_ attachment: Attachment) async {
        guard attachment.isAlone, siblings(of: attachment).count > 1 else { return }
        let (rules, netns) = (attachment.way.rules, attachment.netns)
        // With the namespace go its rules.
        _ = try? await blocking { try PodRoutes.remove(rules, netnsPath: netns) }
    }

    /// The interfaces of a container that came by a call each, itself included.
    private func siblings(of attachment: Attachment) -> [Attachment] {
        journal.attachments.values.filter { other in
            other.containerID == attachment.containerID && other.isAlone && !other.held.isEmpty
                && (other.state == .attached || other.key == attachment.key)
        }
    }

    /// The ways out of the pod, through each interface that has an address.
    func ways(_ record: PodRecord, _ results: [AttachmentResult]) -> [PodRoutes.Way] {
        let others = journal.pods.values.filter {
            $0.containerID == record.containerID && $0.key != record.key
        }
        let table = (others.flatMap { $0.rules.values }.max() ?? Self.firstTable - 1) + 1
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
                table: table + UInt32(index)
            )
        }
    }
}

extension Attachment {
    /// Whether a call made it by itself, and it is no part of a plan.
    fileprivate var isAlone: Bool { network?.isEmpty == false }

    /// The ways out of the pod through it.
    var way: PodRoutes.Way {
        PodRoutes.Way(
            interface: interface,
            addresses: held.map { Netlink.InterfaceAddress(alone: $0.address) },
            gateways: held.map(\.gateway),
            defaultGateways: [],
            table: NodeAgent.firstTableAlone + (metric ?? 0)
        )
    }
}
