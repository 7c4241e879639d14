/* The last step of an encapsulated packet: by an uplink, through the neighbour
 * table.
 */
#ifndef GENIE_LEAVE_H
#define GENIE_LEAVE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/cursor.h>
#include <genie/maps/hop.h>

/* Address families by their numbers; <sys/socket.h> is not for programs. */
#define LEAVE_AF_INET 2
#define LEAVE_AF_INET6 10

/*
 * How long a route is believed without looking: two ticks, 2 - 20 ms. A route
 * that changed is followed as fast, and under load hundreds of packets share one
 * walk through the routing table.
 */
#define HOP_LIFE_JIFFIES 2

/* What became of a walk through the routing table. */
static __always_inline __s32 hop_verdict(int result)
{
	switch (result) {
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return -DROP_NO_ROUTE;
	default:
		return 0;
	}
}

/* Asks the routing table for the neighbour. It answers only where the uplink
 * forwards, as on every node of Kubernetes; elsewhere, and where the route is
 * another device's, the kernel is to find it for each packet.
 */
static __noinline int hop_find(struct __sk_buff *skb, struct hop_value *hop,
			       const struct node_value *node, __be32 vtep,
			       __u32 tos)
{
	struct bpf_fib_lookup fib = { 0 };
	int result;

	if (!hop || !node)
		return 0;
	fib.family = LEAVE_AF_INET;
	fib.l4_protocol = IPPROTO_UDP;
	fib.tos = tos;
	fib.ifindex = node->uplink_ifindex;
	fib.ipv4_src = node->vtep.words[3];
	fib.ipv4_dst = vtep;
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT);
	hop->vtep = vtep;
	hop->tos = tos;
	hop->ifindex = node->uplink_ifindex;
	hop->verdict = hop_verdict(result);
	hop->family = 0;
	/* Its address is there before the neighbour answers. */
	if ((result != BPF_FIB_LKUP_RET_SUCCESS &&
	     result != BPF_FIB_LKUP_RET_NO_NEIGH) ||
	    fib.ifindex != node->uplink_ifindex)
		return 0;
	/* It may be of the other family (RFC 5549). */
	hop->family = fib.family;
	__builtin_memcpy(&hop->neighbour, fib.ipv6_dst, sizeof(fib.ipv6_dst));
	return 1;
}

/* What the routing table is asked of a packet, by its outer headers. */
static __always_inline int leave_question(struct __sk_buff *skb,
					  const struct node_value *node,
					  struct bpf_fib_lookup *fib)
{
	struct cursor at = cursor_of_skb(skb);
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;
	const struct udphdr *udp;

	if (!cursor_take(&at, ETH_HLEN))
		return 0;
	if (address_is_v4(&node->vtep)) {
		ip = cursor_take(&at, sizeof(*ip));
		if (!ip)
			return 0;
		fib->family = LEAVE_AF_INET;
		fib->tos = ip->tos;
		fib->ipv4_src = ip->saddr;
		fib->ipv4_dst = ip->daddr;
	} else {
		ip6 = cursor_take(&at, sizeof(*ip6));
		if (!ip6)
			return 0;
		fib->family = LEAVE_AF_INET6;
		fib->flowinfo = *(__be32 *)ip6 & bpf_htonl(0x0fffffff);
		__builtin_memcpy(fib->ipv6_src, &ip6->saddr,
				 sizeof(fib->ipv6_src));
		__builtin_memcpy(fib->ipv6_dst, &ip6->daddr,
				 sizeof(fib->ipv6_dst));
	}
	udp = cursor_take(&at, sizeof(*udp));
	if (!udp)
		return 0;
	fib->l4_protocol = IPPROTO_UDP;
	fib->sport = udp->source;
	fib->dport = udp->dest;
	fib->ifindex = node->uplink_ifindex;
	return 1;
}

/* With several uplinks the routing table says by which of them a packet leaves;
 * the source port (the flow label) chooses among routes that cost the same, so
 * nothing is remembered for others. It answers only where the first uplink
 * forwards; elsewhere that one is used.
 */
static __noinline int leave_routed(struct __sk_buff *skb,
				   const struct node_value *node)
{
	struct bpf_redir_neigh neighbour = { 0 };
	struct bpf_fib_lookup fib = { 0 };
	int result;

	if (!node)
		return -DROP_NOT_CONFIGURED;
	if (!leave_question(skb, node, &fib))
		return -DROP_TRUNCATED;
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	if (hop_verdict(result))
		return hop_verdict(result);
	if (result != BPF_FIB_LKUP_RET_SUCCESS &&
	    result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	neighbour.nh_family = fib.family;
	__builtin_memcpy(neighbour.ipv6_nh, fib.ipv6_dst, sizeof(fib.ipv6_dst));
	return bpf_redirect_neigh(fib.ifindex, &neighbour, sizeof(neighbour),
				  0);
}

/* Sends an encapsulated packet to `vtep`, which is zero where no way is to be
 * remembered: over IPv6, where the flow label chooses among routes, and of copies
 * to groups. Returns a tc action, or minus a drop reason.
 */
static __always_inline int leave(struct __sk_buff *skb,
				 const struct node_value *node, __be32 vtep,
				 __u8 tos)
{
	struct hop_value *hop = vtep ? hop_slot(vtep) : NULL;
	struct bpf_redir_neigh neighbour = { 0 };
	__u64 now = bpf_jiffies64();

	if (node->is_routed)
		return leave_routed(skb, node);
	if (!hop)
		return bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	if (now >= hop->until || hop->vtep != vtep || hop->tos != tos ||
	    hop->ifindex != node->uplink_ifindex) {
		hop_find(skb, hop, node, vtep, tos);
		hop->until = now + HOP_LIFE_JIFFIES;
	}
	if (hop->verdict)
		return hop->verdict;
	if (!hop->family)
		return bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	neighbour.nh_family = hop->family;
	__builtin_memcpy(neighbour.ipv6_nh, &hop->neighbour,
			 sizeof(neighbour.ipv6_nh));
	return bpf_redirect_neigh(node->uplink_ifindex, &neighbour,
				  sizeof(neighbour), 0);
}

#endif
