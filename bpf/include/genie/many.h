/* Packets to a whole group: multicast, and broadcast of IPv4.
 *
 * The sender's node makes a copy for each pod of the group on the node and one
 * for each other node that has pods of it, which makes the copies for its own.
 * Whoever joined what is not looked at: pods' stacks drop what they do not
 * want. One packet makes at most GENIE_MANY_PLACES_MAX copies on a node.
 */
#ifndef GENIE_MANY_H
#define GENIE_MANY_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/encap.h>
#include <genie/geneve.h>
#include <genie/maps/count.h>
#include <genie/maps/many.h>
#include <genie/maps/node.h>
#include <genie/maps/traffic.h>

/* Marks a copy for another node, which comes by its pod's port once more to be
 * sent by the neighbour table: no copy can be sent that way at once. Returns zero
 * where there is no secret to do it with.
 */
static __always_inline int many_mark(struct __sk_buff *skb)
{
	const struct many_secret *secret = many_secret();

	if (!secret || !secret->mark)
		return 0;
	skb->mark = secret->mark;
	skb->tc_index = secret->tc_index;
	return 1;
}

/* Whether the packet is such a copy. */
static __always_inline int many_is_marked(const struct __sk_buff *skb)
{
	const struct many_secret *secret;

	if (!skb->mark)
		return 0;
	secret = many_secret();
	return secret && secret->mark == skb->mark &&
	       secret->tc_index == skb->tc_index;
}

/* One packet and its copies so far. */
struct many_copies {
	struct __sk_buff *skb;
	__u32 vni;
	__u32 group;
	__u32 port; /* that it came from, which gets none; or zero */
	__u32 is_over_v4;
	__u32 others; /* places that are nodes, where pods are meant */
	__u32 made;
	__u32 lost;
};

/* Points the outer headers at a node. */
static __always_inline int many_aim(struct many_copies *copies,
				    const struct ip_address *vtep)
{
	struct cursor at = cursor_of_skb(copies->skb);
	struct ethhdr *eth = cursor_take(&at, sizeof(*eth));
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (!eth || (__u32)address_is_v4(vtep) != copies->is_over_v4)
		return 0;
	/* The neighbour table fills it in, and takes no group address. */
	mac_copy(eth->h_dest, eth->h_source);
	if (!copies->is_over_v4) {
		ip6 = cursor_take(&at, sizeof(*ip6));
		if (!ip6)
			return 0;
		eth->h_proto = bpf_htons(ETH_P_IPV6);
		__builtin_memcpy(&ip6->daddr, vtep, sizeof(ip6->daddr));
		return 1;
	}
	ip = cursor_take(&at, sizeof(*ip));
	if (!ip)
		return 0;
	eth->h_proto = bpf_htons(ETH_P_IP);
	ip->daddr = vtep->words[3];
	ip->check = 0;
	ip->check = ~csum_sum_ipv4(ip);
	return 1;
}

/* Steps of a bpf_loop, each giving 1 to end it. That to pods writes to no packet:
 * see uplink_ingress, which must not.
 */
static long many_step_to_pod(__u32 index, void *context)
{
	struct many_copies *copies = context;
	const struct many_value *place =
		many_lookup(copies->vni, copies->group, index);

	if (!place)
		return 1;
	if (!place->ifindex) {
		copies->others++;
		return 0;
	}
	if (place->ifindex == copies->port)
		return 0;
	traffic_received(copies->skb, copies->vni, place->ifindex);
	if (bpf_clone_redirect(copies->skb, place->ifindex, 0))
		copies->lost++;
	else
		copies->made++;
	return 0;
}

static long many_step_to_node(__u32 index, void *context)
{
	struct many_copies *copies = context;
	const struct many_value *place =
		many_lookup(copies->vni, copies->group, index);

	if (!place)
		return 1;
	if (place->ifindex)
		return 0;
	if (many_aim(copies, &place->vtep) &&
	    !bpf_clone_redirect(copies->skb, copies->port, BPF_F_INGRESS))
		copies->made++;
	else
		copies->lost++;
	return 0;
}

static __always_inline void many_count(const struct many_copies *copies)
{
	count_add(COUNT_MANY_COPIES, copies->made);
	count_add(COUNT_MANY_LOST, copies->lost);
}

/* Copies a frame whose Ethernet source is the gateway's to the pods here.
 *
 * Returns how many nodes have pods of the group.
 */
static __always_inline __u32 many_to_pods(struct __sk_buff *skb, __u32 vni,
					  __u32 group, __u32 port)
{
	struct many_copies copies = {
		.skb = skb,
		.vni = vni,
		.group = group,
		.port = port,
	};

	bpf_loop(GENIE_MANY_PLACES_MAX, many_step_to_pod, &copies, 0);
	many_count(&copies);
	return copies.others;
}

/* Encapsulates the frame and sends a copy to each node. */
static __always_inline int many_to_nodes(struct __sk_buff *skb, __u32 group,
					 const struct encap_plan *plan)
{
	struct many_copies copies = {
		.skb = skb,
		.vni = plan->vni,
		.group = group,
		.port = skb->ifindex,
		.is_over_v4 = address_is_v4(plan->source),
	};
	int error =
		copies.is_over_v4 ? encap_v4(skb, plan) : encap_v6(skb, plan);

	if (error)
		return error;
	if (!many_mark(skb))
		return -DROP_NOT_CONFIGURED;
	bpf_loop(GENIE_MANY_PLACES_MAX, many_step_to_node, &copies, 0);
	many_count(&copies);
	return 0;
}

#endif
