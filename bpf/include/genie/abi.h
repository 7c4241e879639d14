/*
 * What the kernel side and the agent agree on: map rows, drop reasons, totals,
 * the metadata from XDP to tc, and the tunnel echo. Both sides include this
 * file (Swift as the module CGenieABI), so there is no second copy to keep.
 *
 * A change of a key, a value or a meaning needs a new map revision (_r2).
 * The two enums are append-only: their numbers are in pinned maps.
 */
#ifndef GENIE_ABI_H
#define GENIE_ABI_H

#include <linux/types.h>

/* Limits. Each is justified in the map table of bpf/README.md. */
#define GENIE_PORT_MAX 4096
#define GENIE_ENDPOINT_MAX 65536
#define GENIE_VTEP_MAX 16384
#define GENIE_VNI_MAX 4096
#define GENIE_DROP_MAX 65536
#define GENIE_COUNT_MAX 64
#define GENIE_PATH_MAX 4096
#define GENIE_HOP_MAX 1024
#define GENIE_TRAFFIC_MAX 8192
#define GENIE_PROBE_SEEN_MAX 256
#define GENIE_MANY_MAX 65536
/* Where packets to a whole group go: pods here, and nodes with pods of it. */
#define GENIE_MANY_PLACES_MAX 128

/* RFC 8926 section 3.3. */
#define GENIE_GENEVE_PORT 6081
/* Outer IPv4 20 or IPv6 40, UDP 8, Geneve 8, inner Ethernet 14. */
#define GENIE_TUNNEL_OVERHEAD 50
#define GENIE_TUNNEL_OVERHEAD_V6 70

/*
 * An IP address of either family in network order; IPv4 is mapped into
 * ::ffff:0:0/96 (RFC 4291 section 2.5.5.2).
 */
struct ip_address {
	__be32 words[4];
};
_Static_assert(sizeof(struct ip_address) == 16, "ip_address is ABI");

/*
 * This node. One row, written by genied. A map and not read-only data, so
 * that a changed uplink needs no reload.
 *   off size field
 *    0  16   vtep            own tunnel address; zero until configured
 *   16   4   uplink_ifindex  where encapsulated packets leave, the first of
 *                            several; zero until configured
 *   20   4   pod_mtu         largest inner IP packet, in bytes: uplink MTU
 *                            less the overhead of the VTEP's family
 *   24   4   open_vni        the VPC that is open to the node; zero: none is
 *   28   4   open_ifindex    the node's own port in it; zero: none is
 *   32   6   open_mac        of the node's device behind that port
 *   38   1   is_routed       whether the routing table says by which uplink a
 *                            packet leaves, since there are several
 *   39   1   pad0
 */
struct node_value {
	struct ip_address vtep;
	__u32 uplink_ifindex;
	__u32 pod_mtu;
	__u32 open_vni;
	__u32 open_ifindex;
	__u8 open_mac[6];
	__u8 is_routed;
	__u8 pad0;
};
_Static_assert(sizeof(struct node_value) == 40, "node_value is ABI");
_Static_assert(__builtin_offsetof(struct node_value, open_mac) == 32,
	       "node_value is ABI");
_Static_assert(__builtin_offsetof(struct node_value, uplink_ifindex) == 16,
	       "node_value is ABI");

/*
 * One pod interface by the ifindex of its host-side veth. The only key
 * without a VNI besides the VTEP's: this row is what yields the VNI.
 */
struct port_key {
	__u32 ifindex;
};
_Static_assert(sizeof(struct port_key) == 4, "port_key is ABI");

/*
 * Both addresses of a family are zero where the pod has none of it.
 *   off size field
 *    0   4   vni          1..2^24-1
 *    4   4   generation   the agent's number for this attachment
 *    8  16   address4     the only IPv4 source address the pod may use
 *   24  16   gateway4     answered by the dataplane itself
 *   40  16   address6     the same two for IPv6; beside this the pod may use
 *                         the link-local address of its MAC, on its link
 *   56  16   gateway6
 *   72   6   mac          the only source MAC the pod may use
 *   78   6   gateway_mac  the MAC that the pod sees for everything
 */
struct port_value {
	__u32 vni;
	__u32 generation;
	struct ip_address address4;
	struct ip_address gateway4;
	struct ip_address address6;
	struct ip_address gateway6;
	__u8 mac[6];
	__u8 gateway_mac[6];
};
_Static_assert(sizeof(struct port_value) == 84, "port_value is ABI");
_Static_assert(__builtin_offsetof(struct port_value, gateway4) == 24,
	       "port_value is ABI");
_Static_assert(__builtin_offsetof(struct port_value, address6) == 40,
	       "port_value is ABI");
_Static_assert(__builtin_offsetof(struct port_value, gateway_mac) == 78,
	       "port_value is ABI");

/* One endpoint of a VPC, on any node.
 *   off size field
 *    0   4   vni          1..2^24-1
 *    4  16   address
 */
struct endpoint_key {
	__u32 vni;
	struct ip_address address;
};
_Static_assert(sizeof(struct endpoint_key) == 20, "endpoint_key is ABI");
_Static_assert(__builtin_offsetof(struct endpoint_key, address) == 4,
	       "endpoint_key is ABI");

/*
 *   off size field
 *    0   8   fence    of the address block; a row is never replaced by an
 *                     older one (the agent's rule, the kernel carries it)
 *    8  16   vtep     of its node; zero when the endpoint is on this node
 *   24   4   ifindex  host-side veth when on this node, else zero
 *   28   6   mac      of the pod's end
 *   34   2   pad0
 *   36   4   group    the agent's number for its pod group in the VPC
 */
struct endpoint_value {
	__u64 fence;
	struct ip_address vtep;
	__u32 ifindex;
	__u8 mac[6];
	__u8 pad0[2];
	__u32 group;
};
_Static_assert(sizeof(struct endpoint_value) == 40, "endpoint_value is ABI");
_Static_assert(__builtin_offsetof(struct endpoint_value, vtep) == 8,
	       "endpoint_value is ABI");
_Static_assert(__builtin_offsetof(struct endpoint_value, mac) == 28,
	       "endpoint_value is ABI");

/*
 * One of the places that packets to a whole group go to. Rows of a group have
 * the indices from zero on without a gap; the first that is missing ends them.
 *   off size field
 *    0   4   vni      1..2^24-1
 *    4   4   group    as in endpoint_value
 *    8   4   index    0..GENIE_MANY_PLACES_MAX-1
 */
struct many_key {
	__u32 vni;
	__u32 group;
	__u32 index;
};
_Static_assert(sizeof(struct many_key) == 12, "many_key is ABI");

/*
 *   off size field
 *    0  16   vtep     of a node with pods of the group; zero for a pod here
 *   16   4   ifindex  host-side veth of the pod here, else zero
 */
struct many_value {
	struct ip_address vtep;
	__u32 ifindex;
};
_Static_assert(sizeof(struct many_value) == 20, "many_value is ABI");

/*
 * What marks a copy of a packet to a whole group on its way to the uplink. One
 * row, written by genied at each start: 48 bits that no pod can guess, since
 * one with the right to may hand a packet over with a mark of its choice.
 *   off size field
 *    0   4   mark      zero: nothing is such a copy
 *    4   4   tc_index  16 bits
 */
struct many_secret {
	__u32 mark;
	__u32 tc_index;
};
_Static_assert(sizeof(struct many_secret) == 8, "many_secret is ABI");

/* A node whose tunnel packets are believed. The underlay knows no VPCs, so
 * its key has no VNI.
 */
struct vtep_key {
	struct ip_address address;
};
_Static_assert(sizeof(struct vtep_key) == 16, "vtep_key is ABI");

struct vtep_value {
	__u32 flags; /* none defined: zero */
};
_Static_assert(sizeof(struct vtep_value) == 4, "vtep_value is ABI");

/*
 * A path that carries less than the uplink, as routers say.
 *   off size field
 *    0  16   vtep   where it leads; zero until the slot is used
 *   16   8   until  nanoseconds since the machine started; zero until used
 *   24   4   mtu    largest inner IP packet, in bytes
 *   28   4   pad0
 */
struct path_value {
	struct ip_address vtep;
	__u64 until;
	__u32 mtu;
	__u32 pad0;
};
_Static_assert(sizeof(struct path_value) == 32, "path_value is ABI");
_Static_assert(__builtin_offsetof(struct path_value, mtu) == 24,
	       "path_value is ABI");

/*
 * What the routes say of the way to a node; for programs alone.
 *   off size field
 *    0   8   until      in jiffies of the kernel
 *    8   4   vtep       IPv4; zero until the slot is used
 *   12   4   ifindex    the uplink that was asked for
 *   16   4   verdict    zero, or minus an enum drop_reason
 *   20   2   family     of the neighbour, AF_INET or AF_INET6; zero: the
 *                       kernel is to find it, each time
 *   22   2   tos        that was asked for
 *   24  16   neighbour  an IPv4 address in the first four bytes
 */
struct hop_value {
	__u64 until;
	__be32 vtep;
	__u32 ifindex;
	__s32 verdict;
	__u16 family;
	__u16 tos;
	__u8 neighbour[16];
};
_Static_assert(sizeof(struct hop_value) == 40, "hop_value is ABI");
_Static_assert(__builtin_offsetof(struct hop_value, neighbour) == 24,
	       "hop_value is ABI");

/* A VPC that has an endpoint on this node. */
struct vni_key {
	__u32 vni;
};
_Static_assert(sizeof(struct vni_key) == 4, "vni_key is ABI");

struct vni_value {
	__u8 gateway_mac[6]; /* source MAC of what is delivered to its pods */
	__u8 pad0[2];
	__u32 flags; /* none defined: zero */
};
_Static_assert(sizeof(struct vni_value) == 12, "vni_value is ABI");

/* Stands for every pod interface that is gone: what was counted of it is added
 * up under this number, by the agent alone.
 */
#define GENIE_GONE_IFINDEX 0xffffffffu

/* Dropped packets, one number per CPU. `vni` is zero where the packet's VNI is
 * unknown here: a stranger must not choose keys. `ifindex` is the host-side
 * veth of the pod that sent the packet, or that would have got it; zero where
 * there is none on this node.
 */
struct drop_key {
	__u32 vni;
	__u32 ifindex;
	__u32 reason; /* enum drop_reason */
};
_Static_assert(sizeof(struct drop_key) == 12, "drop_key is ABI");

/* What a pod interface sent and received. */
struct traffic_key {
	__u32 vni;
	__u32 ifindex; /* host-side veth, or GENIE_GONE_IFINDEX */
};
_Static_assert(sizeof(struct traffic_key) == 8, "traffic_key is ABI");

/* One of these per CPU. Bytes are those of Ethernet frames without the tunnel.
 *   off size field
 *    0   8   sent_packets      dropped ones included
 *    8   8   sent_bytes
 *   16   8   received_packets
 *   24   8   received_bytes
 */
struct traffic_value {
	__u64 sent_packets;
	__u64 sent_bytes;
	__u64 received_packets;
	__u64 received_bytes;
};
_Static_assert(sizeof(struct traffic_value) == 32, "traffic_value is ABI");

/* Put in front of a stripped packet by the XDP program, read by the tc program
 * of the same uplink. 12 bytes: XDP wants a multiple of 4, GRO compares it.
 */
struct uplink_metadata {
	__u32 magic;
	__u32 vni;
	__u32 ifindex; /* host-side veth of the receiving pod */
};
_Static_assert(sizeof(struct uplink_metadata) == 12, "uplink_metadata is ABI");
/* Exclusive-or the words of the own VTEP: what a packet brings along from another
 * node of the same kernel is not believed.
 */
#define GENIE_METADATA_MAGIC 0x47524e47u

/*
 * Tunnel echo: a Geneve control packet (O bit, VNI 0, no options) whose
 * protocol is IEEE 802's first local experimental EtherType and whose payload
 * is this. A request from a known VTEP is turned round in the kernel.
 */
struct tunnel_echo {
	__be32 kind; /* enum tunnel_echo_kind */
	__u8 nonce[8];
};
_Static_assert(sizeof(struct tunnel_echo) == 12, "tunnel_echo is ABI");
#define GENIE_ECHO_PROTOCOL 0x88b5

enum tunnel_echo_kind {
	TUNNEL_ECHO_REQUEST = 1,
	TUNNEL_ECHO_REPLY = 2,
};

/*
 * The packet that is being traced on this node; one row. `genie-ring trace`
 * sends it, with a mark that is unlikely to be another packet's.
 *   off size field
 *    0   4   vni      of its pod; zero: nothing is traced
 *    4   4   mark     its IPv4 identification or IPv6 flow label, not zero
 *    8  16   source
 *   24  16   target
 */
struct probe_value {
	__u32 vni;
	__u32 mark;
	struct ip_address source;
	struct ip_address target;
};
_Static_assert(sizeof(struct probe_value) == 40, "probe_value is ABI");

/* The outer source port of a traced packet; others begin one above it. */
#define GENIE_PROBE_PORT 49151

enum probe_hook {
	PROBE_POD_EGRESS = 1,
	PROBE_UPLINK_XDP = 2,
	PROBE_UPLINK_INGRESS = 3,
};

struct probe_seen_key {
	__u32 mark;
	__u32 hook; /* enum probe_hook */
};
_Static_assert(sizeof(struct probe_seen_key) == 8, "probe_seen_key is ABI");

/*
 *   off size field
 *    0   8   nanoseconds  CLOCK_MONOTONIC
 *    8   4   vni          zero where it is not known here
 *   12   4   ifindex      of pod_egress the pod's veth, else the receiver's
 *   16   4   verdict      enum verdict, or minus an enum drop_reason
 *   20   4   pad0
 */
struct probe_seen_value {
	__u64 nanoseconds;
	__u32 vni;
	__u32 ifindex;
	__s32 verdict;
	__u32 pad0;
};
_Static_assert(sizeof(struct probe_seen_value) == 24, "probe_seen is ABI");

/* Why a packet was dropped: X(NAME, metric label). Append only. */
#define GENIE_DROP_REASONS(X)                         \
	X(NO_PORT, "no_port")                         \
	X(TRUNCATED, "truncated")                     \
	X(VLAN, "vlan")                               \
	X(ETHERTYPE, "ethertype")                     \
	X(IPV6, "ipv6")                               \
	X(SPOOFED_MAC, "spoofed_mac")                 \
	X(ARP_MALFORMED, "arp_malformed")             \
	X(ARP_SPOOFED, "arp_spoofed")                 \
	X(ARP_NOT_REQUEST, "arp_not_request")         \
	X(ARP_OWN_ADDRESS, "arp_own_address")         \
	X(ARP_NO_TARGET, "arp_no_target")             \
	X(MULTICAST, "multicast")                     \
	X(NOT_TO_GATEWAY, "not_to_gateway")           \
	X(BAD_IPV4, "bad_ipv4")                       \
	X(SPOOFED_ADDRESS, "spoofed_address")         \
	X(GATEWAY_NOT_ECHO, "gateway_not_echo")       \
	X(NO_ENDPOINT, "no_endpoint")                 \
	X(TTL_EXPIRED, "ttl_expired")                 \
	X(TOO_BIG, "too_big")                         \
	X(NOT_CONFIGURED, "not_configured")           \
	X(VTEP_FAMILY, "vtep_family")                 \
	X(ENCAP_FAILED, "encap_failed")               \
	X(BAD_VTEP, "bad_vtep")                       \
	X(OUTER_FRAGMENT, "outer_fragment")           \
	X(OUTER_OPTIONS, "outer_options")             \
	X(OUTER_CHECKSUM, "outer_checksum")           \
	X(OUTER_LENGTH, "outer_length")               \
	X(GENEVE_VERSION, "geneve_version")           \
	X(GENEVE_OPTIONS, "geneve_options")           \
	X(GENEVE_PROTOCOL, "geneve_protocol")         \
	X(BAD_OAM, "bad_oam")                         \
	X(ZERO_VNI, "zero_vni")                       \
	X(UNKNOWN_VNI, "unknown_vni")                 \
	X(INNER_ETHERTYPE, "inner_ethertype")         \
	X(INNER_IPV4, "inner_ipv4")                   \
	X(INNER_MAC, "inner_mac")                     \
	X(NOT_LOCAL, "not_local")                     \
	X(BAD_ECN, "bad_ecn")                         \
	X(DECAP_FAILED, "decap_failed")               \
	X(BAD_IPV6, "bad_ipv6")                       \
	X(ND_MALFORMED, "nd_malformed")               \
	X(ND_SPOOFED, "nd_spoofed")                   \
	X(ND_NOT_SOLICITATION, "nd_not_solicitation") \
	X(ND_OWN_ADDRESS, "nd_own_address")           \
	X(ND_NO_TARGET, "nd_no_target")               \
	X(ROUTER_SOLICITATION, "router_solicitation") \
	X(MULTICAST_REPORT, "multicast_report")       \
	X(INNER_IPV6, "inner_ipv6")                   \
	X(MULTICAST_LIMITED, "multicast_limited")     \
	X(MULTICAST_SENDER, "multicast_sender")       \
	X(NO_ROUTE, "no_route")

#define GENIE_AS_DROP(name, label) DROP_##name,
enum drop_reason {
	DROP_NONE, /* zero is no reason, so that -DROP_x is always negative */
	GENIE_DROP_REASONS(GENIE_AS_DROP) DROP_REASON_COUNT,
};
#undef GENIE_AS_DROP

/* Totals: X(NAME, metric label). Append only. */
#define GENIE_COUNTS(X)                             \
	X(POD_LOCAL, "pod_to_local_pod")            \
	X(POD_REMOTE, "pod_to_remote_pod")          \
	X(ARP_REPLY, "arp_reply")                   \
	X(GATEWAY_ECHO, "gateway_echo_reply")       \
	X(XDP_STRIPPED, "xdp_stripped")             \
	X(XDP_DELIVERED, "xdp_delivered")           \
	X(TC_DELIVERED, "tc_delivered")             \
	X(TUNNEL_ECHO, "tunnel_echo_reply")         \
	X(TUNNEL_ECHO_PASSED, "tunnel_echo_passed") \
	X(DROP_UNCOUNTED, "drop_uncounted")         \
	X(ND_REPLY, "nd_reply")                     \
	X(ICMP_ERROR, "icmp_error")                 \
	X(ICMP_LIMITED, "icmp_error_limited")       \
	X(PATH_NEWS, "path_mtu_news")               \
	X(POD_NODE, "pod_to_node")                  \
	X(MANY_SENT, "multicast_sent")              \
	X(MANY_RECEIVED, "multicast_received")      \
	X(MANY_COPIES, "multicast_copies")          \
	X(MANY_LOST, "multicast_copies_lost")

#define GENIE_AS_COUNT(name, label) COUNT_##name,
enum packet_count { GENIE_COUNTS(GENIE_AS_COUNT) COUNT_COUNT };
#undef GENIE_AS_COUNT
_Static_assert(COUNT_COUNT <= GENIE_COUNT_MAX, "gr_count_r1 is too small");

/* The label of a reason, or NULL for a number that is none. */
static inline const char *drop_reason_name(__u32 reason)
{
#define GENIE_AS_CASE(name, label) \
	case DROP_##name:          \
		return label;
	switch (reason) {
		GENIE_DROP_REASONS(GENIE_AS_CASE)
	default:
		return (const char *)0;
	}
#undef GENIE_AS_CASE
}

/* The label of a total, or NULL for a number that is none. */
static inline const char *packet_count_name(__u32 count)
{
#define GENIE_AS_CASE(name, label) \
	case COUNT_##name:         \
		return label;
	switch (count) {
		GENIE_COUNTS(GENIE_AS_CASE)
	default:
		return (const char *)0;
	}
#undef GENIE_AS_CASE
}

#endif /* GENIE_ABI_H */
