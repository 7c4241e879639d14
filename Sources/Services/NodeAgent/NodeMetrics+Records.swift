import Determinism
import LocalAPI
import PeerService
import RingRecords
import Telemetry

/// Records, watches, and what carries packets.
extension MetricsPage {
    mutating func records(_ metrics: PeerMetrics) {
        let (counters, holdings) = (metrics.records, metrics.holdings)
        gauge("genie_records", "Records held, whoever told them.", holdings.records)
        gauge("genie_record_sets", "Sets of records held.", holdings.sets)
        gauge("genie_record_topics", "Groups of which anything is held.", holdings.topics)
        counter(
            "genie_record_publications_total",
            "Publications of this node, by whether enough owners held them in time.",
            [
                Sample(.count(counters.publicationsStored), [("outcome", "done")]),
                Sample(.count(counters.publicationsShort), [("outcome", "too_few_owners")]),
            ]
        )
        gauge(
            "genie_record_publications_unsettled",
            "Groups of which some owner has not acknowledged what this node tells last.",
            metrics.status.publicationsUnsettled
        )
        counter(
            "genie_record_reads_total",
            "Reads of this node, by whether enough owners answered in time.",
            [
                Sample(.count(counters.readsComplete), [("outcome", "done")]),
                Sample(.count(counters.readsIncomplete), [("outcome", "too_few_owners")]),
            ]
        )
        counter(
            "genie_record_read_repairs_total",
            "Sets that a read found at too few owners, and gave to more.",
            counters.setsRepaired
        )
        counter(
            "genie_record_digests_compared_total",
            "Slots compared with another owner, by what was found.",
            [
                Sample(
                    .count(counters.digestsCompared - counters.digestsDiffering),
                    [("finding", "same")]
                ),
                Sample(.count(counters.digestsDiffering), [("finding", "different")]),
            ]
        )
        counter(
            "genie_record_repairs_total",
            "Sets handed to owners that lacked them.",
            counters.setsHandedOver
        )
        gauge("genie_record_hints", "Sets kept for owners that are away.", metrics.status.hints)
        gauge("genie_record_hint_bytes", "The bytes of these.", metrics.status.hintBytes)
        counter("genie_record_hints_kept_total", "Sets ever kept so.", holdings.hintsKept)
        counter(
            "genie_record_hints_dropped_total",
            "Sets not kept so for lack of room, or no longer after too long.",
            holdings.hintsDropped
        )
        watches(metrics)
    }

    private mutating func watches(_ metrics: PeerMetrics) {
        gauge(
            "genie_watches",
            "Watches by who watches: this node groups of others, others groups here, people groups.",
            [
                Sample(.count(metrics.holdings.watches), [("by", "node")]),
                Sample(.count(metrics.holdings.watchers), [("by", "peers")]),
                Sample(.count(metrics.topicsFollowed), [("by", "api")]),
            ]
        )
        counter(
            "genie_watch_resyncs_total",
            "Watchers that were told to begin anew, by who they are.",
            [
                Sample(.count(metrics.records.resyncsSent), [("by", "peers")]),
                Sample(.count(metrics.topicResyncs), [("by", "api")]),
            ]
        )
    }

    mutating func dataplane(_ status: DataplaneStatus) {
        counter(
            "genie_dataplane_packets_total",
            "Packets handled, by kind; what GRO merged counts as one.",
            status.counts.map { Sample(.count($0.packets), [("kind", $0.name)]) }
        )
        counter(
            "genie_dataplane_drops_total",
            "Packets dropped, by VPC number (0 where unknown) and reason.",
            status.drops.map {
                Sample(.count($0.packets), [("vni", "\($0.vni)"), ("reason", $0.reason)])
            }
        )
        gauge(
            "genie_dataplane_map_entries",
            "Rows of the maps.",
            status.maps.map { Sample(.count($0.entries), [("map", $0.name)]) }
        )
        gauge(
            "genie_dataplane_map_entries_max",
            "The rows that the maps can hold.",
            status.maps.map { Sample(.count($0.entriesMax), [("map", $0.name)]) }
        )
        gauge(
            "genie_dataplane_map_bytes",
            "The kernel memory of the maps.",
            status.maps.compactMap { map in
                map.memoryBytes.map { Sample(.count($0), [("map", map.name)]) }
            }
        )
    }

    /// What went through, by VPC, and by pod interface where that is wanted.
    mutating func traffic(_ status: DataplaneStatus, isByEndpoint: Bool) {
        typealias Labels = [(String, String)]
        func samples(
            _ rows: [(TrafficTotals, Labels)],
            _ sent: KeyPath<TrafficTotals, UInt64>,
            _ received: KeyPath<TrafficTotals, UInt64>
        ) -> [Sample] {
            rows.flatMap { totals, labels in
                [
                    Sample(.count(totals[keyPath: sent]), labels + [("direction", "sent")]),
                    Sample(.count(totals[keyPath: received]), labels + [("direction", "received")]),
                ]
            }
        }
        func count(_ name: String, _ whose: String, _ rows: [(TrafficTotals, Labels)]) {
            counter(
                "genie_\(name)_packets_total",
                "Frames that \(whose) sent and were given; a super-packet counts as its segments.",
                samples(rows, \.sentPackets, \.receivedPackets)
            )
            counter(
                "genie_\(name)_bytes_total",
                "Bytes of these, with Ethernet headers and without the tunnel's.",
                samples(rows, \.sentBytes, \.receivedBytes)
            )
        }
        gauge(
            "genie_vpc_info",
            "The names of VPC numbers; the value is 1.",
            status.vpcs.filter { !$0.vpc.isEmpty }
                .map { Sample(.count(1), [("vni", "\($0.vni)"), ("vpc", $0.vpc)]) }
        )
        count("vpc", "a VPC's pods here", status.vpcs.map { ($0.totals, [("vni", "\($0.vni)")]) })
        guard isByEndpoint else { return }
        func labels(_ endpoint: EndpointTraffic) -> Labels {
            [
                ("vni", "\(endpoint.vni)"), ("pod", endpoint.pod),
                ("container", endpoint.containerID), ("interface", endpoint.interface),
            ]
        }
        count("endpoint", "a pod interface", status.endpoints.map { ($0.totals, labels($0)) })
        counter(
            "genie_endpoint_drops_total",
            "Packets dropped that a pod interface sent or should have got, by reason.",
            status.endpoints.flatMap { endpoint in
                endpoint.drops.map {
                    Sample(.count($0.packets), labels(endpoint) + [("reason", $0.reason)])
                }
            }
        )
    }

    mutating func calls(_ counters: CNICallCounters) {
        counter(
            "genie_cni_calls_total",
            "Calls of container runtimes, by verb and error code, 0 for success.",
            counters.calls.flatMap { verb, codes in
                codes.map { code, count in
                    Sample(.count(count), [("verb", verb), ("code", "\(code)")])
                }
            }
        )
        histogram(
            "genie_cni_call_duration_seconds",
            "How long calls took that succeeded.",
            counters.spans.map { verb, spans in
                Distribution(
                    bounds: spans.bounds.map { Double($0.microseconds) / 1_000_000 },
                    counts: spans.counts,
                    sum: Double(spans.sum.microseconds) / 1_000_000,
                    [("verb", verb)]
                )
            }
        )
    }

    mutating func pods(_ counts: SortedMap<String, Int>, stuck: Int) {
        gauge(
            "genie_pods_stuck",
            "Pods that could not be taken off their networks yet.",
            stuck
        )
        gauge(
            "genie_pod_interfaces",
            "Pod interfaces of this node, by state.",
            counts.map { Sample(.count($0.value), [("state", $0.key)]) }
        )
    }
}
