import Addressing
import BPFObjects
import Determinism
import LocalAPI
import NetModel
import Netlink
import PeerService
import PeerTransport
import RingMembership
import RingPlacement
import RingRecords
import RingRegisters

extension NodeAgent {
    func memberList() async throws(AgentError) -> MemberList {
        guard let snapshot = await peer.snapshot() else { throw .notJoined }
        return memberList(snapshot)
    }

    func memberList(_ snapshot: PeerSnapshot) -> MemberList {
        let own = item(
            snapshot.own,
            dataplane: dataplane == nil ? "unknown" : "alive",
            roundTrip: nil,
            since: .zero,
            held: nil,
            isSelf: true
        )
        let others = snapshot.members.map { member in
            item(
                member.fact,
                dataplane: liveness.state(of: member.fact.id).rawValue,
                roundTrip: member.roundTrip,
                since: snapshot.now.since(member.since),
                held: member.heldUntil?.since(snapshot.now),
                isSelf: false
            )
        }
        return MemberList(
            ring: snapshot.configuration.ringID.description,
            members: ([own] + others).sorted { ($0.name, $0.id) < ($1.name, $1.id) }
        )
    }

    private func item(
        _ fact: MemberFact,
        dataplane: String,
        roundTrip: Span?,
        since: Span,
        held: Span?,
        isSelf: Bool
    ) -> MemberList.Item {
        MemberList.Item(
            id: fact.id.description,
            name: fact.name,
            zone: fact.zone,
            metadata: fact.metadata,
            address: fact.address.description,
            state: "\(fact.status)",
            dataplane: dataplane,
            boot: fact.boot,
            incarnation: fact.incarnation,
            versions: fact.versions.description,
            roundTripMicroseconds: roundTrip?.microseconds,
            sinceMilliseconds: since.milliseconds,
            heldMilliseconds: held.map { max(0, $0.milliseconds) },
            isSelf: isSelf
        )
    }

    func transportStatus() async -> TransportStatus {
        let (datagrams, refusals) = await peer.transportCounters()
        var counters: [TransportStatus.Counter] = [
            .init(name: "datagrams_received", count: datagrams.received),
            .init(name: "datagrams_sent", count: datagrams.sent),
            .init(name: "datagrams_unsent", count: datagrams.unsent),
            .init(name: "datagrams_oversized", count: datagrams.oversized),
            .init(name: "ports_closed", count: datagrams.portClosed),
        ]
        counters += DatagramRejection.allCases.map { reason in
            .init(
                name: "datagrams_rejected",
                reason: reason.rawValue,
                count: datagrams.rejected(reason)
            )
        }
        counters += [
            .init(
                name: "datagrams_rejected",
                reason: "unreadable",
                count: refusals.datagramsUnreadable
            ),
            .init(name: "datagrams_rejected", reason: "foreign", count: refusals.datagramsForeign),
            .init(
                name: "datagrams_rejected",
                reason: "protocol_version",
                count: refusals.datagramsOtherVersion
            ),
            .init(
                name: "ports_closed_rejected",
                reason: "forged",
                count: datagrams.portClosedForged
            ),
            .init(name: "frames_rejected", reason: "unreadable", count: refusals.frames),
            .init(name: "frames_rejected", reason: "unknown", count: refusals.framesUnknown),
            .init(
                name: "frames_rejected",
                reason: "disk_behind",
                count: refusals.framesUnwritten
            ),
            .init(name: "streams_rejected", reason: "unfinished", count: refusals.streams),
        ]
        return TransportStatus(counters: counters)
    }

    /// The endpoints of one group or of all, as so many owners of their slots hold them; without a
    /// group, those that this node does not hold are left out of what it holds itself.
    func endpointList(
        group: String?,
        _ consistency: ReadConsistency
    ) async throws(AgentError) -> EndpointList {
        guard let snapshot = await peer.snapshot() else { throw .notJoined }
        var items: [EndpointList.Item] = []
        for reference in try await references(group) {
            if group == nil, consistency == .local,
                await peer.held(Topic(reference.description)) == nil
            {
                continue
            }
            for set in try await sets(reference, consistency)
            where snapshot.configuration.member(set.origin) != nil {
                let isGone = snapshot.members.contains {
                    $0.fact.id == set.origin && $0.fact.status.isGone
                }
                let isReachable = !isGone || !liveness.isWithdrawn(set.origin)
                items += set.records.compactMap { record in
                    (try? Endpoint(encoded: record.content))?.payload(isReachable: isReachable)
                }
            }
        }
        return EndpointList(endpoints: items)
    }

    private func references(_ group: String?) async throws(AgentError) -> [GroupReference] {
        if let group {
            let reference: GroupReference
            do { reference = try GroupReference(group) } catch { throw .model(error) }
            let vpc = try await lastKnown { () async throws(AgentError) in
                [try await catalog.vpc(reference.vpc)]
            }.first { $0.name == reference.vpc }
            guard let vpc else { throw .unknownVPC(name: reference.vpc, known: []) }
            do { _ = try vpc.group(reference.group) } catch { throw .model(error) }
            return [reference]
        }
        return try await lastKnown(catalog.vpcs).flatMap { vpc in
            vpc.groups.compactMap { try? GroupReference(vpc: vpc.name, group: $0.name) }
        }
    }

    /// VPCs as the registers hold them; while no steward answers, as they were read here last, for
    /// endpoints are there all the same.
    private func lastKnown(
        _ read: () async throws(AgentError) -> [VPC]
    ) async throws(AgentError) -> [VPC] {
        do throws(AgentError) { return try await read() } catch {
            guard case .registers = error else { throw error }
            let known = catalog.lastKnown()
            guard !known.isEmpty else { throw error }
            return known
        }
    }
}

extension Endpoint {
    fileprivate func payload(isReachable: Bool) -> EndpointList.Item {
        EndpointList.Item(
            vpc: group.vpc,
            group: group.group,
            vni: vni.number,
            address: address.description,
            mac: mac.description,
            node: nodeName,
            vtep: vtep.description,
            containerID: containerID,
            interface: interfaceName,
            pod: podName.isEmpty ? "" : "\(podNamespace)/\(podName)",
            fence: fence,
            isReachable: isReachable
        )
    }
}
