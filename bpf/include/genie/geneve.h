/* Geneve over UDP over IP (RFC 8926): headers and the judgement of what
 * arrives, shared by the XDP and the tc program of an uplink.
 */
#ifndef GENIE_GENEVE_H
#define GENIE_GENEVE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/ipv4.h>
#include <genie/ipv6.h>
#include <genie/maps/endpoint.h>
#include <genie/maps/node.h>
#include <genie/maps/vni.h>
#include <genie/maps/vtep.h>
#include <genie/verdict.h>

struct geneve_header {
	__u8 version_and_options; /* 2 bits, then the length in 4-byte units */
	__u8 flags;
	__be16 protocol;
	__be32 vni_and_reserved; /* 24 bits, then 8 that receivers ignore */
};
_Static_assert(sizeof(struct geneve_header) == 8, "RFC 8926 section 3.4");

#define GENEVE_FLAG_CONTROL 0x80
#define GENEVE_FLAG_CRITICAL 0x40
#define GENEVE_PROTOCOL_ETHERNET 0x6558

/* Up to the end of the inner IP header, over IPv6 and of IPv6: what a judgement
 * reads.
 */
#define TUNNEL_FRONT (ETH_HLEN + GENIE_TUNNEL_OVERHEAD_V6 + 40)

/* Where an accepted packet goes. `vni` stays zero until it is a known one, so
 * that drops before are counted under zero.
 */
struct tunnel_target {
	__u32 vni;
	__u32 ifindex;
	__be16 protocol; /* EtherType of the inner packet */
	__u8 is_over_v6; /* the outer headers are of IPv6 */
	__u8 ecn_flips;	 /* what of the outer ECN field the inner takes over */
	const __u8 *mac;
	const __u8 *gateway_mac;
};

/* The UDP payload length of an IP payload of `size` bytes, or minus a drop
 * reason.
 */
static __always_inline int tunnel_udp_size(const struct udphdr *udp, __u32 size)
{
	if (bpf_ntohs(udp->len) != size ||
	    size < sizeof(*udp) + sizeof(struct geneve_header))
		return -DROP_OUTER_LENGTH;
	return size - sizeof(*udp);
}

/* The UDP payload length of an outer packet, or minus a drop reason. */
static __always_inline int tunnel_payload_size(const struct iphdr *ip,
					       const struct udphdr *udp,
					       __u32 frame_size)
{
	__u32 ip_size = bpf_ntohs(ip->tot_len);

	if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS))
		return -DROP_OUTER_FRAGMENT;
	if (ip->ihl != 5)
		return -DROP_OUTER_OPTIONS;
	if (csum_sum_ipv4(ip) != 0xffff)
		return -DROP_OUTER_CHECKSUM;
	if (ip_size > frame_size - ETH_HLEN || ip_size < sizeof(*ip))
		return -DROP_OUTER_LENGTH;
	return tunnel_udp_size(udp, ip_size - sizeof(*ip));
}

/* RFC 6040 section 4.2, figure 4: which ECN bits of the inner packet change. */
static __always_inline int tunnel_ecn(__u8 outer, __u8 inner,
				      struct tunnel_target *target)
{
	outer &= ECN_MASK;
	inner &= ECN_MASK;
	if (outer == ECN_CE && inner == ECN_NONE)
		return -DROP_BAD_ECN;
	if (outer == ECN_CE || (outer == ECN_1 && inner == ECN_0))
		target->ecn_flips = inner ^ outer;
	return 0;
}

/* Judges where an inner packet goes whose header is right. */
static __always_inline int
tunnel_judge_target(const struct ethhdr *eth,
		    const struct endpoint_value *endpoint,
		    struct tunnel_target *target)
{
	if (!endpoint)
		return -DROP_NO_ENDPOINT;
	if (!endpoint_is_local(endpoint))
		return -DROP_NOT_LOCAL;
	/* The sender may still mean the address's previous pod. */
	if (!mac_equals(eth->h_dest, endpoint->mac))
		return -DROP_INNER_MAC;
	target->ifindex = endpoint->ifindex;
	target->mac = endpoint->mac;
	target->protocol = eth->h_proto;
	return 0;
}

/* Judges a frame to a whole group, whose sender is looked at by tc. */
static __always_inline int tunnel_judge_many(const struct ethhdr *eth,
					     int is_many, __u8 outer_tos,
					     __u8 inner_tos,
					     struct tunnel_target *target)
{
	int error;

	if (!is_many)
		return -DROP_INNER_MAC;
	target->protocol = eth->h_proto;
	error = tunnel_ecn(outer_tos, inner_tos, target);
	return error ? error : VERDICT_MANY;
}

static __always_inline int tunnel_judge_ipv4(struct cursor *at, __u32 size,
					     __u8 outer_tos,
					     const struct ethhdr *eth,
					     struct tunnel_target *target)
{
	const struct iphdr *ip = cursor_take(at, sizeof(*ip));
	int error;

	if (!ip)
		return -DROP_TRUNCATED;
	if (!ipv4_is_sane(ip, size))
		return -DROP_INNER_IPV4;
	if (mac_is_group(eth->h_dest))
		return tunnel_judge_many(eth, ipv4_is_many(ip->daddr),
					 outer_tos, ip->tos, target);
	error = tunnel_judge_target(
		eth, endpoint_lookup_v4(target->vni, ip->daddr), target);
	return error ? error : tunnel_ecn(outer_tos, ip->tos, target);
}

static __always_inline int tunnel_judge_ipv6(struct cursor *at, __u32 size,
					     __u8 outer_tos,
					     const struct ethhdr *eth,
					     struct tunnel_target *target)
{
	const struct ipv6hdr *ip = cursor_take(at, sizeof(*ip));
	int error;

	if (!ip)
		return -DROP_TRUNCATED;
	if (!ipv6_is_sane(ip, size))
		return -DROP_INNER_IPV6;
	if (mac_is_group(eth->h_dest))
		return tunnel_judge_many(eth, ipv6_is_many(&ip->daddr),
					 outer_tos, ipv6_class(ip), target);
	error = tunnel_judge_target(
		eth, endpoint_lookup_v6(target->vni, &ip->daddr), target);
	return error ? error : tunnel_ecn(outer_tos, ipv6_class(ip), target);
}

/* Judges the inner frame of `size` bytes at `at`. */
static __always_inline int tunnel_judge_inner(struct cursor *at, __u32 size,
					      __u8 outer_tos,
					      struct tunnel_target *target)
{
	const struct ethhdr *eth = cursor_take(at, sizeof(*eth));

	if (!eth)
		return -DROP_TRUNCATED;
	/* What lies behind the payload's end is nobody's. */
	if (size < ETH_HLEN)
		return -DROP_TRUNCATED;
	size -= ETH_HLEN;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return tunnel_judge_ipv4(at, size, outer_tos, eth, target);
	case bpf_htons(ETH_P_IPV6):
		return tunnel_judge_ipv6(at, size, outer_tos, eth, target);
	default:
		return -DROP_INNER_ETHERTYPE;
	}
}

/* Applies the change of ECN bits to the inner header at the cursor; zero when
 * it is not there.
 */
static __always_inline int tunnel_apply_ecn(struct cursor at,
					    const struct tunnel_target *target)
{
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (!target->ecn_flips)
		return 1;
	if (target->protocol == bpf_htons(ETH_P_IP)) {
		ip = cursor_take(&at, sizeof(*ip));
		if (ip)
			ipv4_set_tos(ip, ip->tos ^ target->ecn_flips);
		return !!ip;
	}
	ip6 = cursor_take(&at, sizeof(*ip6));
	if (ip6)
		ipv6_flip_class(ip6, target->ecn_flips);
	return !!ip6;
}

/* Judges the UDP payload of a packet from a believed VTEP. */
static __always_inline int tunnel_judge_geneve(struct cursor *at, __u32 size,
					       __u8 outer_tos,
					       struct tunnel_target *target)
{
	const struct geneve_header *geneve;
	const struct vni_value *vpc;
	__u32 vni;
	int error;

	geneve = cursor_take(at, sizeof(*geneve));
	if (!geneve)
		return -DROP_TRUNCATED;
	if (geneve->version_and_options >> 6)
		return -DROP_GENEVE_VERSION;
	/* None is read here, so a critical one must not be passed over. */
	if (geneve->version_and_options & 0x3f ||
	    geneve->flags & GENEVE_FLAG_CRITICAL)
		return -DROP_GENEVE_OPTIONS;
	if (geneve->flags & GENEVE_FLAG_CONTROL)
		return VERDICT_CONTROL;
	if (geneve->protocol != bpf_htons(GENEVE_PROTOCOL_ETHERNET))
		return -DROP_GENEVE_PROTOCOL;

	vni = bpf_ntohl(geneve->vni_and_reserved) >> 8;
	if (!vni)
		return -DROP_ZERO_VNI;
	vpc = vni_lookup(vni);
	if (!vpc)
		return -DROP_UNKNOWN_VNI;
	target->vni = vni;
	target->gateway_mac = vpc->gateway_mac;

	error = tunnel_judge_inner(at, size - sizeof(*geneve), outer_tos,
				   target);
	return error ? error : VERDICT_LOCAL;
}

/* Judges an IPv4 frame; `at` stands behind Ethernet. */
static __always_inline int tunnel_judge_over_v4(struct cursor at,
						const struct node_value *node,
						__u32 frame_size,
						struct tunnel_target *target)
{
	const struct udphdr *udp;
	const struct iphdr *ip;
	int size;

	ip = cursor_take(&at, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5 ||
	    ip->protocol != IPPROTO_UDP ||
	    !address_equals_v4(&node->vtep, ip->daddr) ||
	    ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		return VERDICT_PASS;
	if (!ipv4_skip_options(&at, ip))
		return VERDICT_PASS;
	udp = cursor_take(&at, sizeof(*udp));
	if (!udp || udp->dest != bpf_htons(GENIE_GENEVE_PORT))
		return VERDICT_PASS;

	if (!vtep_lookup_v4(ip->saddr))
		return -DROP_BAD_VTEP;
	size = tunnel_payload_size(ip, udp, frame_size);
	if (size < 0)
		return size;
	return tunnel_judge_geneve(&at, size, ip->tos, target);
}

/* Judges an IPv6 frame. Extension headers, fragments among them, are not of
 * this tunnel.
 */
static __always_inline int tunnel_judge_over_v6(struct cursor at,
						const struct node_value *node,
						__u32 frame_size,
						struct tunnel_target *target)
{
	const struct udphdr *udp;
	const struct ipv6hdr *ip;
	int size;

	ip = cursor_take(&at, sizeof(*ip));
	if (!ip || ip->version != 6 || ip->nexthdr != IPPROTO_UDP ||
	    address_is_v4(&node->vtep) ||
	    !address_equals_v6(&node->vtep, &ip->daddr))
		return VERDICT_PASS;
	udp = cursor_take(&at, sizeof(*udp));
	if (!udp || udp->dest != bpf_htons(GENIE_GENEVE_PORT))
		return VERDICT_PASS;

	if (!vtep_lookup_v6(&ip->saddr))
		return -DROP_BAD_VTEP;
	if (!ipv6_is_sane(ip, frame_size - ETH_HLEN))
		return -DROP_OUTER_LENGTH;
	size = tunnel_udp_size(udp, bpf_ntohs(ip->payload_len));
	if (size < 0)
		return size;
	target->is_over_v6 = 1;
	return tunnel_judge_geneve(&at, size, ipv6_class(ip), target);
}

/*
 * Judges a frame that an uplink received. Passes everything that is not Geneve
 * to this node's VTEP, non-first fragments and VLAN frames included.
 *
 * Returns VERDICT_PASS, VERDICT_CONTROL, VERDICT_LOCAL with `target` filled,
 * VERDICT_MANY with all of it but the pod, or minus a drop reason.
 */
static __always_inline int tunnel_judge(struct cursor at, __u32 frame_size,
					struct tunnel_target *target)
{
	const struct node_value *node = node_lookup();
	const struct ethhdr *eth;

	eth = cursor_take(&at, sizeof(*eth));
	if (!node || !eth)
		return VERDICT_PASS;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return tunnel_judge_over_v4(at, node, frame_size, target);
	case bpf_htons(ETH_P_IPV6):
		return tunnel_judge_over_v6(at, node, frame_size, target);
	default:
		return VERDICT_PASS;
	}
}

#endif
