/* The last step of an encapsulated packet: by the uplink, through the neighbour
 * table.
 */
#ifndef GENIE_LEAVE_H
#define GENIE_LEAVE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/maps/hop.h>

/*
 * How long a route is believed without looking: two ticks, 2 - 20 ms. A route
 * that changed is followed as fast, and under load hundreds of packets share one
 * walk through the routing table.
 */
#define HOP_LIFE_JIFFIES 2

/* Asks the routing table for the neighbour. It answers only where the uplink
 * forwards, as on every node of Kubernetes.
 */
static __noinline int hop_find(struct __sk_buff *skb, struct hop_value *hop,
			       const struct node_value *node)
{
	struct bpf_fib_lookup fib = { 0 };
	int result;

	if (!hop || !node)
		return 0;
	fib.ifindex = node->uplink_ifindex;
	if (address_is_v4(&hop->vtep)) {
		fib.family = HOP_AF_INET;
		fib.ipv4_src = node->vtep.words[3];
		fib.ipv4_dst = hop->vtep.words[3];
	} else {
		fib.family = HOP_AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &node->vtep,
				 sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, &hop->vtep,
				 sizeof(fib.ipv6_dst));
	}
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT);
	hop->neighbour.nh_family = 0;
	/* Its address is there before the neighbour answers. */
	if ((result != BPF_FIB_LKUP_RET_SUCCESS &&
	     result != BPF_FIB_LKUP_RET_NO_NEIGH) ||
	    fib.ifindex != node->uplink_ifindex)
		return 0;
	hop->neighbour.nh_family = fib.family;
	__builtin_memcpy(hop->neighbour.ipv6_nh, fib.ipv6_dst,
			 sizeof(hop->neighbour.ipv6_nh));
	return 1;
}

/* Sends an encapsulated packet to `vtep`. */
static __always_inline int leave(struct __sk_buff *skb,
				 const struct node_value *node,
				 const struct ip_address *vtep)
{
	struct hop_value *hop = hop_slot(vtep);
	__u64 now = bpf_jiffies64();

	if (!hop)
		return bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	if (now >= hop->until || !address_equals_v6(&hop->vtep, vtep)) {
		hop->vtep = *vtep;
		hop->until = now + HOP_LIFE_JIFFIES;
		hop_find(skb, hop, node);
	}
	if (!hop->neighbour.nh_family)
		return bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	return bpf_redirect_neigh(node->uplink_ifindex, &hop->neighbour,
				  sizeof(hop->neighbour), 0);
}

#endif
