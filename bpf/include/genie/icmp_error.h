/*
 * What a pod is told of a packet that went nowhere: the packet is turned into
 * an ICMP error from the gateway (RFC 792, RFC 1812 section 4.3; RFC 4443).
 */
#ifndef GENIE_ICMP_ERROR_H
#define GENIE_ICMP_ERROR_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum_packet.h>
#include <genie/cursor.h>
#include <genie/gateway_echo.h>
#include <genie/icmp.h>
#include <genie/ipv4.h>
#include <genie/ipv6.h>
#include <genie/ipv6_transport.h>
#include <genie/maps/count.h>
#include <genie/maps/icmp.h>

#define ICMP_ROOM_V4 (sizeof(struct iphdr) + sizeof(struct icmp_header))
#define ICMP_ROOM_V6 (sizeof(struct ipv6hdr) + sizeof(struct icmp_header))
/* Errors are as long as any path carries: RFC 1812 section 4.3.2.3, RFC 4443
 * section 2.4 c.
 */
#define ICMP_QUOTE_MAX_V4 (576 - ICMP_ROOM_V4)
#define ICMP_QUOTE_MAX_V6 (1280 - ICMP_ROOM_V6)
/* Internetwork control, as RFC 1812 section 4.3.2.5 wants it. */
#define ICMP_TOS 0xc0

/* An error to be sent. */
struct icmp_notice {
	__u8 type;
	__u8 code;
	__u32 rest;
	__u32 quote; /* bytes of the packet that it is about */
};

/* What the pod is told for a drop reason; zero where it is told nothing. */
static __always_inline int icmp_choose(__u32 reason, __u32 mtu, int is_v6,
				       struct icmp_notice *notice)
{
	switch (reason) {
	case DROP_TTL_EXPIRED:
		notice->type = is_v6 ? ICMPV6_TYPE_TIME_EXCEEDED
				     : ICMP_TYPE_TIME_EXCEEDED;
		return 1;
	case DROP_NO_ENDPOINT:
		notice->type =
			is_v6 ? ICMPV6_TYPE_UNREACHABLE : ICMP_TYPE_UNREACHABLE;
		notice->code = is_v6 ? ICMPV6_CODE_ADDRESS : ICMP_CODE_HOST;
		return 1;
	case DROP_TOO_BIG:
		notice->type =
			is_v6 ? ICMPV6_TYPE_TOO_BIG : ICMP_TYPE_UNREACHABLE;
		notice->code = is_v6 ? 0 : ICMP_CODE_TOO_BIG;
		notice->rest = mtu;
		return 1;
	default:
		return 0;
	}
}

/* Whether an error may be about this packet (RFC 1122 section 3.2.2): about no
 * other error, no later fragment, and nothing that was sent to many.
 */
static __always_inline int icmp_may_answer_v4(struct __sk_buff *skb,
					      const struct iphdr *ip)
{
	__u8 type;

	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET) ||
	    bpf_ntohl(ip->daddr) >= 0xe0000000)
		return 0;
	if (ip->protocol != IPPROTO_ICMP)
		return 1;
	return !bpf_skb_load_bytes(skb, ETH_HLEN + ip->ihl * 4, &type,
				   sizeof(type)) &&
	       !icmp_is_error(type);
}

/* The same (RFC 4443 section 2.4 e). */
static __always_inline int icmp_may_answer_v6(struct __sk_buff *skb,
					      const struct ipv6hdr *ip)
{
	struct ipv6_transport transport;
	__u8 type;

	if (ipv6_is_multicast(&ip->daddr) ||
	    ipv6_transport(skb, ETH_HLEN, &transport) ||
	    transport.is_later_fragment)
		return 0;
	if (transport.protocol != IPPROTO_ICMPV6)
		return 1;
	return !bpf_skb_load_bytes(skb, transport.at, &type, sizeof(type)) &&
	       !icmpv6_is_error(type);
}

/* Cuts the packet to what is quoted and makes room for headers in front. */
static __always_inline int icmp_make_room(struct __sk_buff *skb, __u32 quote,
					  __u32 room)
{
	return !bpf_skb_change_tail(skb, ETH_HLEN + quote, 0) &&
	       !bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0);
}

static __always_inline void icmp_fill(struct icmp_header *icmp,
				      const struct icmp_notice *notice)
{
	icmp->type = notice->type;
	icmp->code = notice->code;
	icmp->check = 0;
	icmp->rest = bpf_htonl(notice->rest);
}

static __noinline int icmp_write_v4(struct __sk_buff *skb,
				    const struct port_value *port,
				    const struct icmp_notice *notice)
{
	struct cursor at = cursor_of_skb(skb);
	struct ethhdr *eth = cursor_take(&at, ETH_HLEN + ICMP_ROOM_V4);
	const struct iphdr *quoted;
	struct icmp_header *icmp;
	struct iphdr *ip;
	__u32 size;

	if (!eth || !port || !notice)
		return 0;
	quoted = cursor_take(&at, sizeof(*quoted));
	if (!quoted)
		return 0;
	ip = (void *)(eth + 1);
	icmp = (void *)(ip + 1);
	size = sizeof(*icmp) + notice->quote;
	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, port->gateway_mac);
	*(__u8 *)ip = 0x45;
	ip->tos = ICMP_TOS;
	ip->tot_len = bpf_htons(sizeof(*ip) + size);
	ip->id = 0; /* never fragmented (RFC 6864) */
	ip->frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	ip->ttl = GATEWAY_TTL;
	ip->protocol = IPPROTO_ICMP;
	ip->check = 0;
	ip->saddr = port->gateway4.words[3];
	ip->daddr = quoted->saddr;
	ip->check = ~csum_sum_ipv4(ip);
	icmp_fill(icmp, notice);
	icmp->check = ~csum_fold(
		csum_add_bytes(skb, ETH_HLEN + sizeof(*ip), size, 0));
	return 1;
}

static __noinline int icmp_write_v6(struct __sk_buff *skb,
				    const struct port_value *port,
				    const struct icmp_notice *notice)
{
	struct cursor at = cursor_of_skb(skb);
	struct ethhdr *eth = cursor_take(&at, ETH_HLEN + ICMP_ROOM_V6);
	const struct ipv6hdr *quoted;
	struct icmp_header *icmp;
	struct ipv6hdr *ip;
	__u32 size;

	if (!eth || !port || !notice)
		return 0;
	quoted = cursor_take(&at, sizeof(*quoted));
	if (!quoted)
		return 0;
	ip = (void *)(eth + 1);
	icmp = (void *)(ip + 1);
	size = sizeof(*icmp) + notice->quote;
	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, port->gateway_mac);
	*(__be32 *)ip = bpf_htonl(6u << 28 | ICMP_TOS << 20);
	ip->payload_len = bpf_htons(size);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = GATEWAY_TTL;
	__builtin_memcpy(&ip->saddr, &port->gateway6, sizeof(ip->saddr));
	ip->daddr = quoted->saddr;
	icmp_fill(icmp, notice);
	icmp->check = ~csum_fold(
		csum_add_bytes(skb, ETH_HLEN + sizeof(*ip), size,
			       csum_pseudo_v6(ip, size, IPPROTO_ICMPV6)));
	return 1;
}

static __always_inline int icmp_is_allowed(struct __sk_buff *skb)
{
	if (icmp_allow(skb->ifindex))
		return 1;
	count(COUNT_ICMP_LIMITED);
	return 0;
}

/*
 * Turns a dropped packet of a pod into the error that tells of it, at most 100
 * a second. The packet is one whose source address was found to be the pod's, or
 * one that the node forwards: the error goes to that address.
 *
 * Returns whether there is one to send back.
 */
static __noinline int icmp_error(struct __sk_buff *skb,
				 const struct port_value *port, __u32 reason,
				 __u32 mtu)
{
	struct cursor at = cursor_of_skb(skb);
	struct ethhdr *eth = cursor_take(&at, sizeof(*eth));
	struct icmp_notice notice = { 0 };
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;
	__u32 size;

	if (!eth || !port ||
	    !icmp_choose(reason, mtu, eth->h_proto == bpf_htons(ETH_P_IPV6),
			 &notice))
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		ip6 = cursor_take(&at, sizeof(*ip6));
		if (!ip6)
			return 0;
		size = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
		notice.quote =
			size < ICMP_QUOTE_MAX_V6 ? size : ICMP_QUOTE_MAX_V6;
		return icmp_may_answer_v6(skb, ip6) && icmp_is_allowed(skb) &&
		       icmp_make_room(skb, notice.quote, ICMP_ROOM_V6) &&
		       icmp_write_v6(skb, port, &notice);
	}
	ip = cursor_take(&at, sizeof(*ip));
	if (!ip)
		return 0;
	size = bpf_ntohs(ip->tot_len);
	notice.quote = size < ICMP_QUOTE_MAX_V4 ? size : ICMP_QUOTE_MAX_V4;
	return icmp_may_answer_v4(skb, ip) && icmp_is_allowed(skb) &&
	       icmp_make_room(skb, notice.quote, ICMP_ROOM_V4) &&
	       icmp_write_v4(skb, port, &notice);
}

#endif
