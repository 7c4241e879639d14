import Addressing
import Determinism
import LocalAPI
import Logging
import NetModel
import PeerService
import RingIPAM
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters

/// The ring's configuration, its stewards, and what is done about them when they are lost.
extension NodeAgent {
    func ringStatus() async throws(AgentError) -> RingStatus {
        guard let view = await peer.ringView() else { throw .notJoined }
        let configuration = view.configuration
        func name(_ id: NodeID) -> String { Self.name(id, configuration) }
        return RingStatus(
            id: configuration.ringID.description,
            epoch: configuration.epoch,
            slotCount: configuration.slotCount,
            replicationFactor: min(configuration.replicationFactor, configuration.members.count),
            members: configuration.members.map { member in
                RingStatus.Item(
                    id: member.id.description,
                    name: member.name,
                    zone: member.zone,
                    weight: member.weight,
                    address: member.address.description,
                    slots: view.slotCounts[member.id] ?? 0
                )
            }.sorted { ($0.name, $0.id) < ($1.name, $1.id) },
            stewards: view.stewards.members.map { name($0.node) },
            records: RingStatus.Records(
                slotsArriving: view.records.slotsArriving,
                slotsLeaving: view.records.slotsLeaving,
                hints: view.records.hints,
                hintBytes: view.records.hintBytes,
                publicationsUnsettled: view.records.publicationsUnsettled
            ),
            registry: configuration.registry.id.description,
            recoveries: configuration.registry.recoveries,
            stewardEpoch: view.stewards.epoch,
            stewardStates: view.stewardViews.map { steward in
                RingStatus.Steward(
                    name: name(steward.steward.node),
                    id: steward.steward.node.description,
                    storage: steward.steward.storage.description,
                    isReachable: steward.isReachable,
                    sinceMilliseconds: steward.since?.milliseconds
                )
            },
            stewardChange: view.stewardChange.map { change in
                RingStatus.Change(
                    stewardEpoch: change.next.epoch,
                    stewards: change.next.members.map { name($0.node) },
                    step: change.step.rawValue
                )
            },
            leaving: configuration.leaving.map { Self.label($0, configuration) }
        )
    }

    /// What is left of the registers; nothing is changed.
    func recoveryStatus() async throws(AgentError) -> RecoveryStatus {
        guard let view = await peer.ringView() else { throw .notJoined }
        switch await peer.recover(givenUp: nil) {
        case .report(let report)?: return Self.payload(report, view.configuration)
        case .refused(let refusal, _)?: throw Self.translate(refusal, view.configuration)
        case .recovered?, nil: throw .registers(.indeterminate)
        }
    }

    /// Founds the registers anew out of what is left.
    func recover(_ wanted: Recover) async throws(AgentError) -> RecoveryResult {
        guard let view = await peer.ringView() else { throw .notJoined }
        let givenUp = try Self.stewards(wanted.giveUp, view)
        switch await peer.recover(givenUp: givenUp) {
        case .recovered(let configuration, let report)?:
            logger.notice(
                "registers founded anew",
                metadata: [
                    "registry": "\(configuration.registry.id)", "epoch": "\(configuration.epoch)",
                    "given_up": "\(wanted.giveUp.joined(separator: ","))",
                ]
            )
            let found = await claimForUntold(report.untold)
            return RecoveryResult(
                registry: configuration.registry.id.description,
                epoch: configuration.epoch,
                founder: settings.nodeName,
                told: report.told.map { Self.name($0, configuration) }.sorted(),
                untold: report.untold.map { Self.label($0, configuration) }.sorted(),
                blocks: report.blocks,
                blocksOfEndpoints: found
            )
        case .refused(let refusal, _)?: throw Self.translate(refusal, view.configuration)
        case .report?, nil: throw .registers(.indeterminate)
        }
    }

    /// Gives members that could not be asked the blocks that their endpoints lie in.
    ///
    /// The registers may have lost them with the last stewards. Nobody claims a block before each
    /// of these members is back or removed, so this is in time whenever it is done; where it fails,
    /// the block is told of by its node, or drains with it.
    private func claimForUntold(_ untold: [NodeID]) async -> Int {
        let untold = SortedSet(untold)
        var count = 0
        for (reference, group) in (try? await groups(nil)) ?? [] {
            for endpoint in (try? await told(reference)) ?? [] where untold.contains(endpoint.node)
            {
                for subnet in group.subnets {
                    let plan = BlockPlan(pool: group.id, subnet: subnet)
                    guard let block = plan.block(containing: endpoint.address) else { continue }
                    let key = plan.registerKey(block)
                    guard let value = try? await peer.read(key), value.payload == nil else {
                        continue
                    }
                    let owner = BlockOwner(node: endpoint.node, fence: endpoint.fence)
                    let end = try? await peer.compareAndSet(
                        key,
                        expectedVersion: value.version,
                        content: owner.encoded
                    )
                    if case .committed = end { count += 1 }
                }
            }
        }
        return count
    }

    /// The stewards of the given names or identities.
    private static func stewards(
        _ names: [String],
        _ view: RingView
    ) throws(AgentError) -> [NodeID] {
        var found: [NodeID] = []
        let stewards = view.stewards.members.map(\.node)
        for name in names {
            let matching = stewards.filter {
                $0.description == name.lowercased() || Self.name($0, view.configuration) == name
            }
            guard let first = matching.first else {
                throw .unknownSteward(
                    String(name.prefix(80)),
                    known: stewards.map { Self.name($0, view.configuration) }.sorted()
                )
            }
            guard matching.count == 1 else {
                throw .nodeNameTwice(name, ids: matching.map(\.description))
            }
            found.append(first)
        }
        return found
    }

    private static func payload(
        _ report: RecoveryReport,
        _ configuration: RingConfiguration
    ) -> RecoveryStatus {
        RecoveryStatus(
            registry: report.registry.id.description,
            isServing: report.isServing,
            quorum: report.quorum,
            stewards: report.stewards.map { steward in
                var state = "present"
                var silent: Int64?
                switch steward.state {
                case .present: break
                case .forgot: state = "forgot"
                case .silent(let span):
                    state = "silent"
                    silent = span?.milliseconds
                }
                return RecoveryStatus.Steward(
                    name: label(steward.node, configuration),
                    id: steward.node.description,
                    storage: steward.storage.description,
                    state: state,
                    silentMilliseconds: silent
                )
            },
            told: report.told.map { name($0, configuration) }.sorted(),
            untold: report.untold.map { label($0, configuration) }.sorted(),
            blocks: report.blocks
        )
    }

    private static func translate(
        _ refusal: RecoveryRefusal,
        _ configuration: RingConfiguration
    ) -> AgentError {
        switch refusal {
        case .busy: .recovery(.busy)
        case .notNeeded: .recovery(.notNeeded)
        case .behind(let node): .recovery(.behind(name(node, configuration)))
        case .otherStewards(let lost):
            .recovery(.otherStewards(lost.map { label($0, configuration) }))
        case .notMember: .recovery(.notMember)
        case .interrupted(let silent):
            .recovery(.interrupted(silent.map { name($0, configuration) }))
        case .exhausted: .recovery(.exhausted)
        }
    }
}

/// Why the registers were not founded anew, with names for people.
enum RecoveryFailure: Hashable, Sendable {
    case busy
    case notNeeded
    case behind(String)
    case otherStewards([String])
    case notMember
    case interrupted([String])
    case exhausted

    var code: String {
        switch self {
        case .busy: "recovery.busy"
        case .notNeeded: "recovery.not_needed"
        case .behind: "recovery.behind"
        case .otherStewards: "recovery.other_stewards"
        case .notMember: "recovery.not_member"
        case .interrupted: "recovery.interrupted"
        case .exhausted: "recovery.exhausted"
        }
    }

    var text: String {
        switch self {
        case .busy: "this node is looking for the registers already: wait for that to end"
        case .notNeeded:
            "the registers answer, so there is nothing to recover: 'genie-ring node remove' replaces a "
                + "steward that is lost"
        case .behind(let node):
            "\(node) knows of a younger configuration than this node: try again in a moment, and look "
                + "at 'genie-ring ring' there first"
        case .otherStewards(let lost) where lost.isEmpty:
            "every steward answers and has its registers: wait until they agree, and look at their logs"
        case .otherStewards(let lost):
            "the stewards that are lost are \(lost.joined(separator: ", ")): give up all of these and no "
                + "other, if their disks are gone for good"
        case .notMember: "this node has no place in the ring: recover at one that has"
        case .interrupted(let silent):
            "\(silent.joined(separator: ", ")) stopped answering midway, and nothing was founded: run "
                + "'genie-ring ring recover' again"
        case .exhausted: "the registers were founded anew too often: start a new ring"
        }
    }
}
