extension AcceptanceListTests {
    /// Encapsulation and XDP, E1 to E23.
    static let dataplane: [Item] = [
        Item(
            id: "E1",
            what: "outer UDP checksum",
            tests: [
                "a packet to a pod on another node is encapsulated byte for byte",
                "both families are encapsulated byte for byte",
                "over an IPv6 underlay, both families reach each other at full MTU",
            ]
        ),
        Item(
            id: "E2",
            what: "outer id, DF, TTL, type of service; ECN",
            tests: [
                "a packet to a pod on another node is encapsulated byte for byte",
                "the outer ECN field reaches the inner header as RFC 6040 says",
                "an outer checksum whose first fold carries again is right",
            ]
        ),
        Item(
            id: "E3",
            what: "outer source port",
            tests: [
                "flows spread over the outer source ports, and one flow keeps its port",
                "fragments of one packet share an outer source port",
                "fragments share an outer source port, which their flow label decides",
            ]
        ),
        Item(
            id: "E4",
            what: "VNI, reserved bits, inner MAC",
            tests: [
                "reserved bits of Geneve are ignored",
                "it is dropped and counted once, under its VPC only if that is known here",
            ]
        ),
        Item(
            id: "E5",
            what: "outer source must be a node",
            tests: [
                "it is dropped and counted once, under its VPC only if that is known here",
                "a stranger gets no answer",
            ]
        ),
        Item(
            id: "E6",
            what: "spoofed source, ARP and ND sender",
            tests: [
                "it is dropped, counted once for its reason, and nothing else",
                "of 100,000 frames with random fields none arrives where it should not",
            ]
        ),
        Item(
            id: "E7",
            what: "too big",
            tests: [
                "one byte too many is told of with the MTU, whether it may be fragmented or not",
                "a super-packet whose segments are too big is told of as well",
                "never about an error, a later fragment or what was sent to many",
                "errors are limited to a burst of 32 and 100 a second",
                "a packet of exactly the pod MTU goes, one byte more does not",
            ]
        ),
        Item(
            id: "E8",
            what: "path-MTU news from the underlay",
            tests: [
                "a router's word lowers what pods may send to that node",
                "what was not said of this node's tunnels changes nothing",
                "news of less than IPv6 needs, which may be forged, lower it to that",
                "a path narrower than the uplink is learnt, and connections go on",
                "what was learnt of a path counts for ten minutes, and is as good as never heard then",
            ]
        ),
        Item(
            id: "E9",
            what: "segment size",
            tests: [
                "in SYN and SYN-ACK of both families, with the checksum right wherever the option is",
                "neither in other segments, nor towards pods of this node, nor in fragments",
            ]
        ),
        Item(
            id: "E10",
            what: "ARP and neighbour discovery",
            tests: [
                "ARP for the gateway and for known pods is answered with the gateway's MAC",
                "who has the gateway or a pod: the gateway's MAC, for pods without override",
                "a unicast probe is answered, with and without the sender's MAC in it",
                "duplicate address detection of another's address is told to all nodes",
                "every corrupted byte of a solicitation is noticed",
                "it is dropped, counted once for its reason, and nothing else",
            ]
        ),
        Item(
            id: "E11",
            what: "echo to the gateway",
            tests: [
                "ICMP echo to the gateway is answered, whatever the checksum",
                "ICMPv6 echo to the gateway is answered",
            ]
        ),
        Item(
            id: "E12",
            what: "TTL and hop limit",
            tests: [
                "the last hop is told of as time exceeded",
                "every TTL is decremented with a right checksum",
                "a pod is told what it sends too far, too long or to nobody",
            ]
        ),
        Item(
            id: "E13",
            what: "no route",
            tests: [
                "an unknown address is a host or an address that cannot be reached",
                "a service of either family: TCP, UDP, fragments, errors, hairpin, removal, rejection",
            ]
        ),
        Item(
            id: "E14",
            what: "fragments",
            tests: [
                "a fragmented datagram arrives whole",
                "fragments that come in the wrong order make a whole packet",
                "fragments share an outer source port, which their flow label decides",
                "a service of either family: TCP, UDP, fragments, errors, hairpin, removal, rejection",
            ]
        ),
        Item(
            id: "E15",
            what: "options, extension headers, other protocols, odd frames",
            tests: [
                "IPv4 options pass through untouched",
                "extension headers and other protocols pass untouched",
                "options and extension headers are quoted with the rest",
                "a frame in several buffers (xdp.frags) is stripped like any other",
                "short and tagged frames, which no test run can make",
                "it is dropped, counted once for its reason, and nothing else",
            ]
        ),
        Item(
            id: "E16",
            what: "every length, random changes",
            tests: [
                "cut off at every length from 0 to 200, they agree with a second implementation",
                "mutated at random, they agree with a second implementation",
                "bytes without any form are never accepted",
            ]
        ),
        Item(
            id: "E17",
            what: "services, which the client's node translates",
            tests: [
                "a service of either family: TCP, UDP, fragments, errors, hairpin, removal, rejection"
            ],
            missing:
                "choice among several pods, affinity, full tables, ports that run out: they are "
                + "kube-proxy's and the kernel's, since the node translates"
        ),
        Item(
            id: "E18",
            what: "replies carry the service's address",
            tests: [
                "a service of either family: TCP, UDP, fragments, errors, hairpin, removal, rejection"
            ],
            missing: "direct return: replies go back through the node that translated"
        ),
        Item(
            id: "E19",
            what: "replacement of programs",
            tests: [
                "replacing every program under traffic loses no packet",
                "a killed daemon loses no packet of its pods",
                "maps of an earlier revision stay until they are told to go",
            ]
        ),
        Item(
            id: "E20",
            what: "several queues and CPUs",
            tests: [
                "counters of all CPUs add up to what was sent",
                "no flow is put out of order over uplinks and pods with two queues each",
            ]
        ),
        Item(
            id: "E21",
            what: "IPv4, IPv6, both",
            tests: [
                "a pod without IPv6 sends none, and one without IPv4 no IPv4",
                "an IPv6 packet is stripped and handed to the pod",
                "pods reach each other in both families, on one node and across",
                "ADD gives addresses and routes of both families or nothing",
            ]
        ),
        Item(
            id: "E22",
            what: "multicast and broadcast",
            tests: [
                "it is dropped, counted once for its reason, and nothing else",
                "a pod may send as many as the bound says, and nothing but its own",
                "multicast and broadcast reach the pods of the group on every node, and no others",
            ]
        ),
        Item(
            id: "E23",
            what: "the same addresses in two VPCs",
            tests: [
                "the same address in two VPCs leads to two pods",
                "pods reach each other in both families, on one node and across, and in no other",
                "pods of one node reach each other, the gateway, and no other VPC",
            ]
        ),
    ]
}
