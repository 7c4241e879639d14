/* Traced packets: known by their addresses and a mark that their sender chose,
 * the IPv4 identification or the IPv6 flow label. Between nodes they are known
 * by an outer source port that no other packet has.
 */
#ifndef GENIE_PROBE_H
#define GENIE_PROBE_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/cursor.h>
#include <genie/geneve.h>
#include <genie/maps/probe.h>

/* Fixed header: version and traffic class in the first 12 bits. */
#define PROBE_FLOW_LABEL 0xfffff

static __always_inline int probe_is_v4(const struct iphdr *ip,
				       const struct probe_value *row)
{
	return ip->id == bpf_htons(row->mark) &&
	       address_equals_v4(&row->source, ip->saddr) &&
	       address_equals_v4(&row->target, ip->daddr);
}

static __always_inline int probe_is_v6(const struct ipv6hdr *ip,
				       const struct probe_value *row)
{
	const __be32 *source = (const void *)&ip->saddr;
	const __be32 *target = (const void *)&ip->daddr;
	__u32 label = bpf_ntohl(*(const __be32 *)ip) & PROBE_FLOW_LABEL;
	__u32 differing = label ^ row->mark;

	for (int i = 0; i < 4; i++) {
		differing |= source[i] ^ row->source.words[i];
		differing |= target[i] ^ row->target.words[i];
	}
	return !differing;
}

/* The mark if `skb`, as its pod sent it, is the traced packet; else zero. */
static __always_inline __u32 probe_of_pod(struct __sk_buff *skb, __u32 vni)
{
	const struct probe_value *row = probe_lookup(vni);
	struct cursor at = cursor_of_skb(skb);
	const struct ethhdr *eth;
	const void *ip;

	if (!row)
		return 0;
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		ip = cursor_take(&at, sizeof(struct iphdr));
		return ip && probe_is_v4(ip, row) ? row->mark : 0;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		ip = cursor_take(&at, sizeof(struct ipv6hdr));
		return ip && probe_is_v6(ip, row) ? row->mark : 0;
	}
	return 0;
}

/* The UDP header of what may be a tunnel packet, over either family; the cursor
 * is behind the outer Ethernet header.
 */
static __always_inline struct udphdr *probe_outer_udp(struct cursor *at,
						      __be16 protocol)
{
	if (protocol == bpf_htons(ETH_P_IP)) {
		if (!cursor_take(at, sizeof(struct iphdr)))
			return NULL;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		if (!cursor_take(at, sizeof(struct ipv6hdr)))
			return NULL;
	} else {
		return NULL;
	}
	return cursor_take(at, sizeof(struct udphdr));
}

/* Lets the other node know the traced packet, which is encapsulated without a
 * UDP checksum by now. Its outer Ethernet header is still the inner one: only
 * the kernel's own note is of the outer family.
 */
static __always_inline void probe_mark_tunnel(struct __sk_buff *skb)
{
	struct cursor at = cursor_of_skb(skb);
	struct udphdr *udp;

	if (!cursor_take(&at, ETH_HLEN))
		return;
	udp = probe_outer_udp(&at, skb->protocol);
	if (udp && udp->dest == bpf_htons(GENIE_GENEVE_PORT))
		udp->source = bpf_htons(GENIE_PROBE_PORT);
}

/* Notes a traced packet of another node, which was judged as one of a tunnel
 * from a node that is believed.
 */
static __always_inline void probe_of_tunnel(struct cursor at, __u32 hook,
					    const struct tunnel_target *target,
					    int verdict)
{
	const struct udphdr *udp;
	const struct ethhdr *eth;
	__u32 mark = 0;

	if ((verdict >= 0 && verdict != VERDICT_LOCAL) ||
	    verdict == -DROP_BAD_VTEP)
		return;
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth)
		return;
	udp = probe_outer_udp(&at, eth->h_proto);
	if (!udp || udp->source != bpf_htons(GENIE_PROBE_PORT) ||
	    !cursor_take(&at, sizeof(struct geneve_header)))
		return;
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth)
		return;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = cursor_take(&at, sizeof(*ip));

		mark = ip ? bpf_ntohs(ip->id) : 0;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		const __be32 *ip = cursor_take(&at, sizeof(*ip));

		mark = ip ? bpf_ntohl(*ip) & PROBE_FLOW_LABEL : 0;
	}
	probe_note(mark, hook, target->vni, target->ifindex, verdict);
}

#endif
