import Determinism
import LocalAPI
import PeerService
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
import Telemetry

/// The families of metrics, one function for each part of the node.
extension MetricsPage {
    mutating func transport(_ status: TransportStatus) {
        func samples(_ name: String) -> [Sample] {
            status.counters.filter { $0.name == name }.map { counter in
                Sample(.count(counter.count), counter.reason.map { [("reason", $0)] } ?? [])
            }
        }
        let families = [
            ("datagrams_received", "Datagrams that came in, whatever became of them."),
            ("datagrams_sent", "Datagrams that were sent."),
            ("datagrams_unsent", "Datagrams that the kernel did not take."),
            ("datagrams_oversized", "Datagrams that were too long to be sent."),
            ("datagrams_rejected", "Datagrams that were refused, by reason."),
            ("ports_closed", "Answers of hosts that a peer's port is closed."),
            ("ports_closed_rejected", "Those that were refused, by reason."),
            ("frames_rejected", "Frames that were refused, by reason."),
            ("streams_rejected", "Streams that came to nothing, by reason."),
        ]
        for (name, help) in families {
            counter("genie_transport_\(name)_total", help, samples(name))
        }
    }

    mutating func membership(_ metrics: PeerMetrics) {
        var states = SortedMap<String, Int>()
        for status in [MemberFact.Status.alive, .suspect, .dead, .left] { states["\(status)"] = 0 }
        for fact in [metrics.own] + metrics.members.map(\.fact) {
            states["\(fact.status)", default: 0] += 1
        }
        gauge(
            "genie_members",
            "Members as this node sees them, itself included, by state.",
            states.map { Sample(.count($0.value), [("state", $0.key)]) }
        )
        gauge(
            "genie_members_held",
            "Members that come and go and are not used for a while.",
            metrics.members.count { $0.heldUntil != nil }
        )
        let counters = metrics.membership
        counter("genie_membership_probes_total", "Probes sent.", counters.probesSent)
        counter(
            "genie_membership_probes_answered_total",
            "Probes answered in time, by the target or through a helper.",
            counters.probesAnswered
        )
        counter(
            "genie_membership_probes_failed_total",
            "Probes of present members that nobody answered in time.",
            counters.probesFailed
        )
        counter(
            "genie_membership_suspicions_total",
            "Times that a member became suspect here.",
            counters.suspicions
        )
        counter(
            "genie_membership_deaths_total",
            "Times that a member was given up.",
            counters.deaths
        )
        counter(
            "genie_membership_refutations_total",
            "Accusations of this node that it answered.",
            counters.refutations
        )
        counter(
            "genie_membership_stalls_total",
            "Times that this process found it had not run for a while.",
            counters.stalls
        )
        gauge(
            "genie_membership_local_health",
            "Lifeguard's local health: 0 is well, each step makes this node more patient.",
            metrics.localHealth
        )
        gauge("genie_membership_rumors", "News that is being passed on.", metrics.queues.rumors)
        roundTrips(metrics)
    }

    private mutating func roundTrips(_ metrics: PeerMetrics) {
        let spans = metrics.members.compactMap(\.roundTrip).sorted()
        guard let longest = spans.last else { return }
        gauge(
            "genie_membership_round_trip_seconds",
            "The last measured round trips to members: their median and the longest.",
            [
                Sample(.real(spans[spans.count / 2].seconds), [("statistic", "median")]),
                Sample(.real(longest.seconds), [("statistic", "max")]),
            ]
        )
    }

    mutating func ring(_ metrics: PeerMetrics) {
        gauge(
            "genie_ring_epoch",
            "The epoch of the ring configuration in force here.",
            [Sample(.count(metrics.configuration.epoch))]
        )
        gauge(
            "genie_ring_members",
            "Members of the ring configuration.",
            metrics.configuration.members.count
        )
        gauge("genie_ring_slots", "Slots of the ring.", metrics.configuration.slotCount)
        gauge("genie_ring_slots_owned", "Slots that this node owns.", metrics.holdings.slotsOwned)
        gauge(
            "genie_ring_handovers",
            "Slots whose records are on their way, by direction.",
            [
                Sample(.count(metrics.status.slotsArriving), [("direction", "in")]),
                Sample(.count(metrics.status.slotsLeaving), [("direction", "out")]),
            ]
        )
        counter(
            "genie_ring_handover_bytes_total",
            "Bytes of record sets handed to owners that lacked them.",
            metrics.records.bytesHandedOver
        )
    }

    mutating func registers(_ metrics: PeerMetrics) {
        let counters = metrics.figures.registers
        counter(
            "genie_register_operations_total",
            "Operations on registers that this node carried out, by kind and outcome.",
            RegisterCounters.Operation.allCases.flatMap { operation in
                RegisterCounters.Ending.allCases.map { ending in
                    Sample(
                        .count(counters.count(operation, ending)),
                        [("operation", "\(operation)"), ("outcome", "\(ending)")]
                    )
                }
            }
        )
        histogram(
            "genie_register_operation_duration_seconds",
            "How long operations on registers took that ended well.",
            [("read", counters.reads), ("change", counters.changes)].map { name, spans in
                Distribution(
                    bounds: spans.bounds.map(\.seconds),
                    counts: spans.counts,
                    sum: spans.sum.seconds,
                    [("operation", name)]
                )
            }
        )
        counter(
            "genie_register_ballots_lost_total",
            "Rounds that another proposer's ballot beat.",
            counters.ballotsLost
        )
        gauge(
            "genie_register_operations_under_way",
            "Operations under way.",
            metrics.figures.commandsUnderWay
        )
        gauge("genie_stewards", "Stewards of the ring.", metrics.figures.stewards.members.count)
        gauge(
            "genie_steward_epoch",
            "The number of the group of stewards.",
            [Sample(.count(metrics.figures.stewards.epoch))]
        )
        gauge(
            "genie_steward",
            "Whether this node is a steward.",
            metrics.figures.isSteward ? 1 : 0
        )
        gauge(
            "genie_registers_followed",
            "Registers whose changes this node is told of.",
            metrics.figures.registersFollowed
        )
        gauge(
            "genie_register_followers",
            "Nodes that this steward tells of changes.",
            metrics.figures.followers
        )
    }

    mutating func addresses(_ metrics: PeerMetrics) {
        let figures = metrics.figures
        gauge("genie_ipam_blocks", "Blocks of addresses that this node has.", figures.blocks)
        gauge(
            "genie_ipam_addresses",
            "Addresses of this node's blocks, by state; one that rests was freed of late.",
            [
                Sample(.count(figures.addressesUsed), [("state", "used")]),
                Sample(.count(figures.addressesResting), [("state", "resting")]),
                Sample(.count(figures.addressesFree), [("state", "free")]),
            ]
        )
        counter(
            "genie_ipam_claims_total",
            "Claims of a block, by whether they brought one.",
            [
                Sample(.count(figures.claimsMade), [("outcome", "done")]),
                Sample(.count(figures.claimsFailed), [("outcome", "failed")]),
            ]
        )
    }
}

extension Span {
    fileprivate var seconds: Double { Double(microseconds) / 1_000_000 }
}
