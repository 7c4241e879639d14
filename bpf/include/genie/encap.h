/* Encapsulation of a pod's packet towards another node. */
#ifndef GENIE_ENCAP_H
#define GENIE_ENCAP_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/geneve.h>

#define OUTER_TTL 64
/* RFC 8926 section 3.3: the source port carries entropy, from this on. */
#define OUTER_SOURCE_PORT_MIN 49152
#define OUTER_SOURCE_PORT_MASK 0x3fff

/* What the outer headers are made of, taken before the packet moves. */
struct encap_plan {
	__be32 source;
	__be32 target;
	__u32 vni;
	__u32 flow_hash;
	__u32 mtu; /* of the inner packet */
	__u8 tos;  /* DSCP and ECN of the inner packet (RFC 6040 section 4.1) */
	__be16 protocol; /* EtherType of the inner packet */
	const __u8 *mac;
	const __u8 *gateway_mac;
};

static __always_inline void encap_write_ipv4(struct iphdr *ip, __u32 size,
					     const struct encap_plan *plan)
{
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = plan->tos;
	ip->tot_len = bpf_htons(size);
	ip->id = 0; /* never fragmented (RFC 6864) */
	ip->frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	ip->ttl = OUTER_TTL;
	ip->protocol = IPPROTO_UDP;
	ip->check = 0;
	ip->saddr = plan->source;
	ip->daddr = plan->target;
	ip->check = ~csum_sum_ipv4(ip);
}

/* No UDP checksum: the inner packet has its own (RFC 8926 section 3.3). */
static __always_inline void encap_write_udp(struct udphdr *udp, __u32 size,
					    const struct encap_plan *plan)
{
	__u32 entropy = plan->flow_hash & OUTER_SOURCE_PORT_MASK;

	udp->source = bpf_htons(OUTER_SOURCE_PORT_MIN + entropy);
	udp->dest = bpf_htons(GENIE_GENEVE_PORT);
	udp->len = bpf_htons(size);
	udp->check = 0;
}

/* Makes room and writes outer IPv4, UDP, Geneve and the inner Ethernet header.
 * The outer Ethernet header is left to the neighbour table.
 */
static __always_inline int encap(struct __sk_buff *skb,
				 const struct encap_plan *plan)
{
	__u32 size = skb->len - ETH_HLEN + GENIE_TUNNEL_OVERHEAD;
	struct geneve_header *geneve;
	struct ethhdr *inner;
	struct udphdr *udp;
	struct iphdr *ip;
	struct cursor at;

	if (size > 0xffff)
		return -DROP_TOO_BIG;
	/* Segment size stays: the pod's MTU leaves room already. */
	if (bpf_skb_adjust_room(skb, GENIE_TUNNEL_OVERHEAD, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO |
					BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
					BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
					BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
					BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN)))
		return -DROP_ENCAP_FAILED;

	at = cursor_of_skb(skb);
	if (!cursor_take(&at, ETH_HLEN))
		return -DROP_ENCAP_FAILED;
	ip = cursor_take(&at, sizeof(*ip));
	udp = cursor_take(&at, sizeof(*udp));
	geneve = cursor_take(&at, sizeof(*geneve));
	inner = cursor_take(&at, sizeof(*inner));
	if (!ip || !udp || !geneve || !inner)
		return -DROP_ENCAP_FAILED;

	encap_write_ipv4(ip, size, plan);
	encap_write_udp(udp, size - sizeof(*ip), plan);
	geneve->version_and_options = 0;
	geneve->flags = 0;
	geneve->protocol = bpf_htons(GENEVE_PROTOCOL_ETHERNET);
	geneve->vni_and_reserved = bpf_htonl(plan->vni << 8);
	mac_copy(inner->h_dest, plan->mac);
	mac_copy(inner->h_source, plan->gateway_mac);
	inner->h_proto = plan->protocol;
	return 0;
}

#endif
