import Addressing
import BPFObjects
import Determinism
import Logging
import NetForwarding
import NetModel
import PeerService
import RingMembership
import RingPlacement
import RingRecords

extension NodeAgent {
    /// Makes the maps what the ring and the journal say, in a pass that begins after this call;
    /// calls that come before it begins share it.
    func reconcile() async {
        await (queuedPass ?? queuePass()).value
    }

    private func queuePass() -> Task<Void, Never> {
        let before = lastPass
        let pass = Task {
            await before?.value
            // What changes from here on needs another one.
            queuedPass = nil
            do {
                try await reconcileOnce()
            } catch {
                logger.error("cannot reconcile the dataplane", metadata: ["reason": "\(error)"])
            }
        }
        queuedPass = pass
        lastPass = pass
        return pass
    }

    /// The endpoints of other nodes in the groups that are followed, and the groups of which all
    /// was heard.
    private func readRemote(_ snapshot: PeerSnapshot) async -> ([Endpoint], SortedSet<Topic>) {
        var reader = EndpointReader(after: endpointReader)
        var remote: [Endpoint] = []
        var syncedTopics = SortedSet<Topic>()
        for (topic, _) in watchedTopics {
            let (sets, isSynced) = await peer.watched(topic)
            if isSynced { syncedTopics.insert(topic) }
            for set in sets where set.origin != snapshot.own.id {
                // A node that was taken out of the ring is nobody, whatever it goes on telling.
                guard !liveness.isWithdrawn(set.origin),
                    snapshot.configuration.member(set.origin) != nil
                else { continue }
                remote += reader.read(set)
            }
        }
        reader.finish()
        endpointReader = reader
        return (remote, syncedTopics)
    }

    private func reconcileOnce() async throws {
        guard let snapshot = await peer.snapshot() else { return }
        let (remote, syncedTopics) = await readRemote(snapshot)
        // From here on nothing is awaited: the maps are compared with one state of the journal.
        guard let dataplane else { return }
        let tunnels = Result { () throws(BPFError) in try reconcileVTEPs(snapshot, dataplane) }
        defer {
            if case .failure(let error) = tunnels {
                logger.error("cannot reconcile tunnels", metadata: ["reason": "\(error)"])
            }
        }
        var plan = ForwardingPlan()
        for attachment in journal.all where attachment.state == .attached {
            for entry in localEntries(attachment) { plan.add(entry) }
        }
        let remoteNow = current(remote)
        for endpoint in remoteNow { plan.add(Self.entry(endpoint)) }
        let unsynced = SortedSet(
            watchedTopics.filter { !syncedTopics.contains($0.key) }.map(\.value)
        )
        let local = SortedSet(journal.attachments.values.compactMap { VNI($0.vni) })
        let followed = SortedSet(watchedTopics.map(\.value))
        let busyAddresses = busyEntries()
        let present = try dataplane.endpoints().map(Self.entry)
        let steps = plan.steps(
            from: present,
            mayPut: { entry, held in
                // What an ADD is writing is newer than what others tell, and what is told before
                // all was heard may be older than what is held (rule A5).
                !busyAddresses.contains(entry.key)
                    && (entry.fence >= held.fence || !unsynced.contains(entry.vni))
            }
        ) { entry in
            // A VPC with pods here that is not followed yet, or not completely known, keeps its
            // rows.
            let isUnknown =
                unsynced.contains(entry.vni)
                || (local.contains(entry.vni) && !followed.contains(entry.vni))
            return !isUnknown && !busyAddresses.contains(entry.key)
        }
        // What does not fit before the removals may fit after them.
        let left = steps.filter { (try? take($0, dataplane)) == nil }
        var incomplete = SortedMap<VNI, BPFError>()
        for step in left {
            do throws(BPFError) { try take(step, dataplane) } catch {
                // The rows of other VPCs are not to suffer; ADD says it to those of this one.
                guard case .put(let entry) = step else { throw error }
                incomplete[entry.vni] = error
            }
        }
        self.incomplete = incomplete
        reconcilePlaces(remoteNow, dataplane) { unsynced.contains($0) || !followed.contains($0) }
        if let vni = incomplete.keys.first, let error = incomplete[vni] {
            logger.error(
                "some endpoints of other nodes do not fit: pods here cannot reach them",
                metadata: ["vni": "\(vni)", "vpcs": "\(incomplete.count)", "reason": "\(error)"]
            )
        }
    }

    /// Writes where packets to whole groups go; the nodes themselves get none, since what they
    /// discover is not the pods'.
    private func reconcilePlaces(
        _ remote: [Endpoint],
        _ dataplane: Dataplane,
        isUnknown: (VNI) -> Bool
    ) {
        var wanted = GroupPlaces()
        for attachment in journal.all where attachment.state == .attached {
            guard attachment.key != .node else { continue }
            for entry in localEntries(attachment) { wanted.add(entry) }
        }
        for endpoint in remote where endpoint.containerID != AttachmentKey.node.containerID {
            wanted.add(Self.entry(endpoint))
        }
        do throws(BPFError) {
            var present: [GroupKey: [EndpointRow.Place]]
            if let places { present = places } else { present = try dataplane.places() }
            let groups = wanted.places(limit: Dataplane.placesMax).map { group, found in
                (GroupKey(vni: group.vni, group: group.number), found.map(Self.place))
            }
            // Those that go make room for those that come.
            for key in Set(present.keys).subtracting(groups.map(\.0)) {
                try dataplane.setPlaces([], of: key, over: present[key] ?? [])
                present[key] = nil
            }
            for (key, rows) in groups {
                let before = present[key] ?? []
                // Of what is not completely known, what was right when it was written stays.
                let kept = isUnknown(key.vni) ? before.filter { !rows.contains($0) } : []
                let after =
                    rows.isEmpty || rows.count + kept.count > Dataplane.placesMax
                    ? rows : rows + kept
                guard after != before else { continue }
                try place(after, of: key, over: before, dataplane)
                present[key] = after.isEmpty ? nil : after
            }
            places = present
        } catch {
            // What is in the map is read again the next time.
            places = nil
            logger.error(
                "packets to whole groups do not reach all of them",
                metadata: ["reason": "\(error)"]
            )
        }
    }

    /// Writes the places of one group, or none at all: half of a group is no group.
    private func place(
        _ wanted: [EndpointRow.Place],
        of key: GroupKey,
        over present: [EndpointRow.Place],
        _ dataplane: Dataplane
    ) throws(BPFError) {
        do throws(BPFError) {
            try dataplane.setPlaces(wanted, of: key, over: present)
        } catch {
            let most = max(wanted.count, present.count)
            let all = Array(repeating: EndpointRow.Place.local(ifindex: 1), count: most)
            try dataplane.setPlaces([], of: key, over: all)
            throw error
        }
    }

    /// The endpoints of other nodes whose fences are not behind what was seen of their blocks, here
    /// or elsewhere (rule A5).
    private func current(_ endpoints: [Endpoint]) -> [Endpoint] {
        let followed = SortedSet(watchedTopics.map(\.value))
        fences.forget { followed.contains($0) }
        for attachment in journal.all where attachment.state == .attached {
            guard let vni = VNI(attachment.vni) else { continue }
            for held in attachment.held {
                if let block = held.block { fences.note(vni, block, fence: held.fence) }
            }
        }
        for endpoint in endpoints {
            guard let block = endpoint.block else { continue }
            fences.note(endpoint.vni, block, fence: endpoint.fence)
        }
        return endpoints.filter { endpoint in
            guard let block = endpoint.block else { return true }
            return fences.isCurrent(endpoint.vni, block, fence: endpoint.fence)
        }
    }

    private func take(_ step: ForwardingPlan.Step, _ dataplane: Dataplane) throws(BPFError) {
        switch step {
        case .put(let entry): try dataplane.putEndpoint(Self.row(entry))
        case .delete(let key): try dataplane.deleteEndpoint(vni: key.vni, address: key.address)
        }
    }

    /// Rows of attachments that are being made: the plan does not have them yet.
    private func busyEntries() -> SortedSet<ForwardingEntry.Key> {
        SortedSet(
            journal.attachments.values.filter { $0.state == .adding }
                .flatMap(localEntries).map(\.key)
        )
    }

    private func localEntries(_ attachment: Attachment) -> [ForwardingEntry] {
        guard let vni = VNI(attachment.vni), let mac = MACAddress(attachment.mac) else { return [] }
        return attachment.held.map { held in
            ForwardingEntry(
                vni: vni,
                address: held.address,
                mac: mac,
                place: .local(interface: attachment.hostIndex),
                fence: held.fence,
                group: Self.groupNumber(attachment.vpc, attachment.group)
            )
        }
    }

    private static func entry(_ endpoint: Endpoint) -> ForwardingEntry {
        ForwardingEntry(
            vni: endpoint.vni,
            address: endpoint.address,
            mac: endpoint.mac,
            place: .remote(vtep: endpoint.vtep),
            fence: endpoint.fence,
            group: groupNumber(endpoint.group.vpc, endpoint.group.group)
        )
    }

    /// The number that programs know a group by.
    ///
    /// Two groups of one VPC that share one get each other's multicast; they may reach each other
    /// anyway.
    static func groupNumber(_ vpc: String, _ group: String) -> UInt32 {
        UInt32(truncatingIfNeeded: StableHash.of("\(vpc)/\(group)".utf8))
    }

    static func entry(_ row: EndpointRow) -> ForwardingEntry {
        let place: ForwardingEntry.Place =
            switch row.place {
            case .local(let index): .local(interface: index)
            case .remote(let vtep): .remote(vtep: vtep)
            }
        return ForwardingEntry(
            vni: row.vni,
            address: row.address,
            mac: row.mac,
            place: place,
            fence: row.fence,
            group: row.group
        )
    }

    private static func place(_ place: ForwardingEntry.Place) -> EndpointRow.Place {
        switch place {
        case .local(let index): .local(ifindex: index)
        case .remote(let vtep): .remote(vtep: vtep)
        }
    }

    private static func row(_ entry: ForwardingEntry) -> EndpointRow {
        EndpointRow(
            vni: entry.vni,
            address: entry.address,
            mac: entry.mac,
            place: place(entry.place),
            fence: entry.fence,
            group: entry.group
        )
    }

    /// Tunnels are taken from the members of the agreed configuration and from nobody else.
    private func reconcileVTEPs(_ snapshot: PeerSnapshot, _ dataplane: Dataplane) throws(BPFError) {
        let wanted = SortedSet(
            snapshot.configuration.members.map(\.address.address).filter { $0 != settings.vtep }
        )
        let present = SortedSet(try dataplane.vteps())
        for address in wanted.elements where !present.contains(address) {
            try dataplane.putVTEP(address)
        }
        for address in present.elements where !wanted.contains(address) {
            try dataplane.deleteVTEP(address)
        }
    }

    /// Follows every group of a VPC: its pods may reach one another.
    func follow(_ vpc: VPC) async {
        let topics = vpc.groups.map { Topic("\(vpc.name)/\($0.name)") }
            .filter { watchedTopics[$0] == nil }
        // All before the first wait: a VPC that is followed in part would look complete.
        for topic in topics { watchedTopics[topic] = vpc.vni }
        for topic in topics { await peer.watch(topic) }
    }

    func unfollowUnused() async {
        let used = SortedSet(
            activeVPCs.values.flatMap { vpc in vpc.groups.map { Topic("\(vpc.name)/\($0.name)") } }
        )
        let unused = watchedTopics.keys.filter { !used.contains($0) }
        for topic in unused { watchedTopics[topic] = nil }
        // One that was followed again while this waited stays.
        for topic in unused where watchedTopics[topic] == nil { await peer.unwatch(topic) }
    }

    /// Tells the ring of this node's endpoints in a group; waits, within bounds, for enough owners.
    func publish(_ group: GroupReference) async {
        guard let snapshot = await peer.snapshot() else { return }
        let records = journal.all
            .filter { $0.state == .attached && $0.reference == group }
            .flatMap { endpoints($0, nodeName: snapshot.own.name) }
            .map { OriginSet.Record(key: $0.key, content: $0.encoded) }
        let topic = Topic(group.description)
        let outcome = await peer.publish(topic, records, level: settings.publishLevel.level)
        if case .tooFewOwners(let shortfall) = outcome {
            let missing = await names(shortfall).joined(separator: ",")
            logger.warning(
                "endpoints are held by too few owners; they are offered on",
                metadata: [
                    "group": "\(group)", "level": "\(settings.publishLevel.rawValue)",
                    "stored": "\(shortfall.answered)", "wanted": "\(shortfall.wanted)",
                    "missing": "\(missing)",
                ]
            )
        }
    }

    /// After a start: the same endpoints under the new boot counter.
    func publishAll() async {
        // Also those under which nothing is left: the ring must hear that, too.
        let told = await peer.ownTopics().compactMap { try? GroupReference($0.name) }
        let groups = SortedSet(journal.attachments.values.compactMap(\.reference) + told)
        for group in groups.elements { await publish(group) }
    }

    /// What the ring is told of an attachment: an endpoint an address.
    private func endpoints(_ attachment: Attachment, nodeName: String) -> [Endpoint] {
        guard let group = attachment.reference, let vni = VNI(attachment.vni),
            let mac = MACAddress(attachment.mac)
        else { return [] }
        return attachment.held.map { held in
            Endpoint(
                group: group,
                vni: vni,
                address: held.address,
                mac: mac,
                vtep: settings.vtep,
                fence: held.fence,
                block: held.block,
                containerID: attachment.containerID,
                interfaceName: attachment.interface,
                podNamespace: attachment.podNamespace,
                podName: attachment.podName,
                nodeName: nodeName
            )
        }
    }
}
