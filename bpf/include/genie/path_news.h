/*
 * What routers of the underlay say of tunnel packets that were too big for
 * them (RFC 1191, RFC 8201): the path is remembered, and pods that send more are told so
 * by their gateway.
 */
#ifndef GENIE_PATH_NEWS_H
#define GENIE_PATH_NEWS_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum_packet.h>
#include <genie/icmp.h>
#include <genie/maps/count.h>
#include <genie/maps/node.h>
#include <genie/maps/path.h>
#include <genie/maps/vtep.h>

/* The front of an error about a tunnel packet, which has no IPv4 options. */
struct path_error {
	struct icmp_header icmp;
	struct iphdr ip;
	struct udphdr udp;
};
_Static_assert(sizeof(struct path_error) == 36, "RFC 792");

/* Whether the error quotes a packet that this node sent to a known one. An
 * attacker beside the path must guess both ends.
 */
static __always_inline int path_is_ours(const struct path_error *error,
					const struct node_value *node)
{
	return error->icmp.type == ICMP_TYPE_UNREACHABLE &&
	       error->icmp.code == ICMP_CODE_TOO_BIG &&
	       error->ip.version == 4 && error->ip.ihl == 5 &&
	       error->ip.protocol == IPPROTO_UDP &&
	       address_equals_v4(&node->vtep, error->ip.saddr) &&
	       error->udp.dest == bpf_htons(GENIE_GENEVE_PORT) &&
	       vtep_lookup_v4(error->ip.daddr);
}

/* Notes what an ICMP packet to this node says of a path, if it does. */
static __always_inline int path_news_v4(struct __sk_buff *skb,
					const struct node_value *node)
{
	struct path_error error;
	struct ip_address vtep;
	struct iphdr outer;
	__u32 at, size, mtu;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &outer, sizeof(outer)) ||
	    outer.version != 4 || outer.ihl < 5 ||
	    outer.protocol != IPPROTO_ICMP ||
	    !address_equals_v4(&node->vtep, outer.daddr))
		return 0;
	at = ETH_HLEN + outer.ihl * 4;
	if (bpf_skb_load_bytes(skb, at, &error, sizeof(error)) ||
	    !path_is_ours(&error, node))
		return 0;
	size = bpf_ntohs(outer.tot_len) - outer.ihl * 4;
	if (csum_fold(csum_add_bytes(skb, at, size, 0)) != 0xffff)
		return 0;
	/* Routers that say nothing are older than RFC 1191 (1990). */
	mtu = bpf_ntohl(error.icmp.rest) & 0xffff;
	if (mtu <= GENIE_TUNNEL_OVERHEAD)
		return 0;
	vtep = address_from_v4(error.ip.daddr);
	path_note(&vtep, mtu - GENIE_TUNNEL_OVERHEAD);
	return 1;
}

/* The front of an ICMPv6 error about a tunnel packet. */
struct path_error_v6 {
	struct icmp_header icmp;
	struct ipv6hdr ip;
	struct udphdr udp;
};
_Static_assert(sizeof(struct path_error_v6) == 56, "RFC 4443");

/* The same of ICMPv6. */
static __always_inline int path_news_v6(struct __sk_buff *skb,
					const struct node_value *node)
{
	struct path_error_v6 error;
	struct ip_address vtep;
	struct ipv6hdr outer;
	__u32 at, size, mtu;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &outer, sizeof(outer)) ||
	    outer.version != 6 || outer.nexthdr != IPPROTO_ICMPV6 ||
	    address_is_v4(&node->vtep) ||
	    !address_equals_v6(&node->vtep, &outer.daddr))
		return 0;
	at = ETH_HLEN + sizeof(outer);
	if (bpf_skb_load_bytes(skb, at, &error, sizeof(error)) ||
	    error.icmp.type != ICMPV6_TYPE_TOO_BIG || error.icmp.code ||
	    error.ip.version != 6 || error.ip.nexthdr != IPPROTO_UDP ||
	    !address_equals_v6(&node->vtep, &error.ip.saddr) ||
	    error.udp.dest != bpf_htons(GENIE_GENEVE_PORT) ||
	    !vtep_lookup_v6(&error.ip.daddr))
		return 0;
	size = bpf_ntohs(outer.payload_len);
	if (csum_fold(csum_add_bytes(
		    skb, at, size,
		    csum_pseudo_v6(&outer, size, IPPROTO_ICMPV6))) != 0xffff)
		return 0;
	mtu = bpf_ntohl(error.icmp.rest);
	if (mtu <= GENIE_TUNNEL_OVERHEAD_V6)
		return 0;
	vtep = address_from_v6(&error.ip.daddr);
	path_note(&vtep, mtu - GENIE_TUNNEL_OVERHEAD_V6);
	return 1;
}

/* Looks at a packet that is the stack's all the same. */
static __noinline int path_news(struct __sk_buff *skb)
{
	const struct node_value *node = node_lookup();
	int is_news = 0;

	if (!node)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		is_news = path_news_v4(skb, node);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		is_news = path_news_v6(skb, node);
	if (is_news)
		count(COUNT_PATH_NEWS);
	return is_news;
}

#endif
