import Determinism
import Logging
import NetModel
import PeerService
import RingRecords
import RingRegisters

/// The VPCs that this node has to do with: their registers are followed, so that a group that was
/// added reaches the maps as fast as an endpoint does, and no steward is polled.
extension NodeAgent {
    /// Followed registers need no reading; this is a net below.
    private static let rereadInterval = Duration.seconds(300)

    /// Follows the registers of the VPCs that have pods here, and of those with a group that
    /// somebody watches.
    func followVPCs(and vpc: String? = nil) async {
        var names = SortedSet(journal.attachments.values.map(\.vpc))
        if let vpc { names.insert(vpc) }
        if let open = await openName() { names.insert(open) }
        for topic in await peer.topicsFollowed() {
            guard let reference = try? GroupReference(topic.name) else { continue }
            names.insert(reference.vpc)
        }
        let keys = SortedSet(
            names.elements.map(NetworkCatalog.register(of:)) + [NetworkCatalog.openRegister]
        )
        let refused = await peer.follow(registers: keys)
        if !refused.isEmpty {
            logger.warning(
                "too many VPCs on this node: changes of some are seen late",
                metadata: ["count": "\(refused.count)"]
            )
        }
        for key in refused where key.hasPrefix("vpc/") { await read(String(key.dropFirst(4))) }
        await unfollowUnused()
    }

    /// Takes over what the stewards told of VPCs.
    func takeVPCs() async {
        for name in SortedSet(journal.attachments.values.map(\.vpc)).elements {
            guard let value = await peer.followed(register: NetworkCatalog.register(of: name)),
                journal.attachments.values.contains(where: { $0.vpc == name }),
                let vpc = try? catalog.vpc(in: value)
            else { continue }
            await activate(vpc, version: value.version)
        }
        await unfollowUnused()
        await endWatches()
        if await openName() != journal.attachments[.node]?.vpc { await followVPCs() }
        await reconcileOpen()
    }

    /// Begins to use a VPC as a register held it, unless a later version is in use, and follows all
    /// of its groups.
    func activate(_ vpc: VPC, version: UInt64) async {
        guard activeVPCs[vpc.name] == nil || version >= activeVersions[vpc.name] ?? 0 else {
            return
        }
        let isNew = activeVPCs[vpc.name] == nil
        activeVPCs[vpc.name] = vpc
        activeVersions[vpc.name] = version
        await follow(vpc)
        // At once: a group that is added in the next seconds is not seen otherwise.
        if isNew { await followVPCs() }
    }

    /// Reads the VPCs now and then all the same, should what was told of one have been lost.
    func reread() async {
        while (try? await Task.sleep(for: Self.rereadInterval)) != nil {
            for name in activeVPCs.keys { await read(name) }
            await unfollowUnused()
        }
    }

    private func read(_ name: String) async {
        guard let (vpc, version) = try? await catalog.versioned(name),
            journal.attachments.values.contains(where: { $0.vpc == name })
        else { return }
        await activate(vpc, version: version)
    }

    /// Who watches a group that is gone is told so when asking again.
    private func endWatches() async {
        for topic in await peer.topicsFollowed() {
            guard let reference = try? GroupReference(topic.name),
                let value = await peer.followed(
                    register: NetworkCatalog.register(of: reference.vpc)
                ),
                value.payload == nil || (try? catalog.vpc(in: value)) != nil
            else { continue }
            let vpc = try? catalog.vpc(in: value)
            let isThere = vpc.map { (try? $0.group(reference.group)) != nil } ?? false
            if !isThere { await peer.endTopic(topic) }
        }
    }
}
