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
	const struct ip_address *source;
	const struct ip_address *target;
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
	ip->saddr = plan->source->words[3];
	ip->daddr = plan->target->words[3];
	ip->check = ~csum_sum_ipv4(ip);
}

/* The flow label carries the entropy as well (RFC 6438). */
static __always_inline void encap_write_ipv6(struct ipv6hdr *ip, __u32 size,
					     const struct encap_plan *plan)
{
	*(__be32 *)ip = bpf_htonl(6u << 28 | (__u32)plan->tos << 20 |
				  (plan->flow_hash & IPV6_FLOW_LABEL_MASK));
	ip->payload_len = bpf_htons(size - sizeof(*ip));
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = OUTER_TTL;
	__builtin_memcpy(&ip->saddr, plan->source, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, plan->target, sizeof(ip->daddr));
}

/*
 * Everything behind the outer IP header, `size` bytes with the payload.
 *
 * No UDP checksum: the inner packet has its own (RFC 8926 section 3.3). Over
 * IPv6 that is what RFC 6935 allows tunnels and RFC 6936 section 5 sets the
 * rules for: only known VTEPs are listened to, an address that was damaged on
 * the way is none of theirs, and a damaged VNI or MAC leads to no pod.
 */
static __always_inline void encap_write_tunnel(struct udphdr *udp, __u32 size,
					       const struct encap_plan *plan)
{
	struct geneve_header *geneve = (void *)(udp + 1);
	struct ethhdr *inner = (void *)(geneve + 1);
	__u32 entropy = plan->flow_hash & OUTER_SOURCE_PORT_MASK;

	udp->source = bpf_htons(OUTER_SOURCE_PORT_MIN + entropy);
	udp->dest = bpf_htons(GENIE_GENEVE_PORT);
	udp->len = bpf_htons(size);
	udp->check = 0;
	geneve->version_and_options = 0;
	geneve->flags = 0;
	geneve->protocol = bpf_htons(GENEVE_PROTOCOL_ETHERNET);
	geneve->vni_and_reserved = bpf_htonl(plan->vni << 8);
	mac_copy(inner->h_dest, plan->mac);
	mac_copy(inner->h_source, plan->gateway_mac);
	inner->h_proto = plan->protocol;
}

#define ENCAP_FLAGS                                               \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN))

/* IPv6 has so much more of a header than IPv4. */
#define ENCAP_FAMILY_GAP 20

/* Room for outer headers of the other family, where the kernel takes no hint of
 * what they are: it is told that the packet is one of that family, and what it
 * did to the header is undone.
 */
static __noinline int encap_room_of_other(struct __sk_buff *skb, __u32 overhead,
					  __u32 is_to_v4)
{
	__u8 header[sizeof(struct ipv6hdr)];

	/* It would change what the segments are, too. */
	if (skb->gso_size)
		return -1;
	if (!is_to_v4)
		return bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0) ||
		       bpf_skb_adjust_room(skb, overhead - ENCAP_FAMILY_GAP,
					   BPF_ADJ_ROOM_MAC,
					   BPF_F_ADJ_ROOM_FIXED_GSO);
	return bpf_skb_load_bytes(skb, ETH_HLEN, header, sizeof(header)) ||
	       bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0) ||
	       bpf_skb_adjust_room(skb, overhead + ENCAP_FAMILY_GAP,
				   BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_FIXED_GSO) ||
	       bpf_skb_store_bytes(skb, ETH_HLEN + overhead, header,
				   sizeof(header), 0);
}

/* Makes room of `overhead` bytes behind the outer Ethernet header, whose type
 * will be `outer`. Segment size stays: the pod's MTU leaves room already.
 *
 * The kernel takes no second set of inner headers. What came out of a tunnel,
 * ours or the pod's own, may still have one and then gets room alone. Of a
 * packet that we stripped, the set is right again as soon as our headers are in
 * front.
 */
static __always_inline void *encap_make_room(struct __sk_buff *skb,
					     const struct encap_plan *plan,
					     __u32 overhead, __be16 outer,
					     __u64 flags)
{
	struct cursor at;

	if (bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC,
				ENCAP_FLAGS | flags) &&
	    (plan->protocol == outer
		     ? bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC,
					   BPF_F_ADJ_ROOM_FIXED_GSO)
		     : encap_room_of_other(skb, overhead,
					   outer == bpf_htons(ETH_P_IP))))
		return NULL;
	at = cursor_of_skb(skb);
	return cursor_take(&at, ETH_HLEN + overhead);
}

/* Makes room and writes outer IP, UDP, Geneve and the inner Ethernet header.
 * The outer Ethernet header is left to the neighbour table.
 */
static __always_inline int encap_v4(struct __sk_buff *skb,
				    const struct encap_plan *plan)
{
	__u32 size = skb->len - ETH_HLEN + GENIE_TUNNEL_OVERHEAD;
	struct iphdr *ip;
	void *front;

	if (size > 0xffff)
		return -DROP_TOO_BIG;
	front = encap_make_room(skb, plan, GENIE_TUNNEL_OVERHEAD,
				bpf_htons(ETH_P_IP),
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	if (!front)
		return -DROP_ENCAP_FAILED;
	ip = front + ETH_HLEN;
	encap_write_ipv4(ip, size, plan);
	encap_write_tunnel((void *)(ip + 1), size - sizeof(*ip), plan);
	return 0;
}

/* The same over IPv6. */
static __always_inline int encap_v6(struct __sk_buff *skb,
				    const struct encap_plan *plan)
{
	__u32 size = skb->len - ETH_HLEN + GENIE_TUNNEL_OVERHEAD_V6;
	struct ipv6hdr *ip;
	void *front;

	if (size - sizeof(*ip) > 0xffff)
		return -DROP_TOO_BIG;
	front = encap_make_room(skb, plan, GENIE_TUNNEL_OVERHEAD_V6,
				bpf_htons(ETH_P_IPV6),
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV6);
	if (!front)
		return -DROP_ENCAP_FAILED;
	ip = front + ETH_HLEN;
	encap_write_ipv6(ip, size, plan);
	encap_write_tunnel((void *)(ip + 1), size - sizeof(*ip), plan);
	return 0;
}

#endif
