/* ICMP echo to the group's gateway, answered in place (RFC 792, RFC 4443). */
#ifndef GENIE_GATEWAY_ECHO_H
#define GENIE_GATEWAY_ECHO_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/icmp.h>
#include <genie/ipv4.h>
#include <genie/maps/count.h>
#include <genie/verdict.h>

#define GATEWAY_TTL 64

/* A message of nothing but zeroes sums up to plus zero, which the update cannot
 * tell from minus zero; 0xffff is a right checksum for both, zero is not.
 */
static __always_inline void gateway_echo_stamp(struct icmp_header *icmp,
					       __u8 reply)
{
	__u16 check = csum_replace(icmp->check, bpf_htons(icmp->type << 8),
				   bpf_htons(reply << 8));

	icmp->check = check ?: 0xffff;
	icmp->type = reply;
}

static __always_inline int gateway_echo_send(struct ethhdr *eth,
					     const struct port_value *port)
{
	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, port->gateway_mac);
	count(COUNT_GATEWAY_ECHO);
	return VERDICT_ANSWER;
}

/* Nothing but echo is answered at the gateway address. `at` stands behind the
 * IPv4 header.
 */
static __always_inline int gateway_echo_v4(struct ethhdr *eth, struct iphdr *ip,
					   struct cursor at,
					   const struct port_value *port)
{
	struct icmp_header *icmp;
	__be32 gateway = ip->daddr;

	if (ip->protocol != IPPROTO_ICMP || ipv4_is_fragment(ip))
		return -DROP_GATEWAY_NOT_ECHO;
	icmp = cursor_take(&at, sizeof(*icmp));
	if (!icmp)
		return -DROP_TRUNCATED;
	if (icmp->type != ICMP_TYPE_ECHO_REQUEST || icmp->code)
		return -DROP_GATEWAY_NOT_ECHO;

	ip->daddr = ip->saddr; /* a swap leaves the checksum as it is */
	ip->saddr = gateway;
	ipv4_set_ttl(ip, GATEWAY_TTL);
	gateway_echo_stamp(icmp, ICMP_TYPE_ECHO_REPLY);
	return gateway_echo_send(eth, port);
}

/* The same; extension headers make it no plain echo request. */
static __always_inline int gateway_echo_v6(struct ethhdr *eth,
					   struct ipv6hdr *ip, struct cursor at,
					   const struct port_value *port)
{
	struct icmp_header *icmp;
	struct in6_addr gateway;

	if (ip->nexthdr != IPPROTO_ICMPV6)
		return -DROP_GATEWAY_NOT_ECHO;
	icmp = cursor_take(&at, sizeof(*icmp));
	if (!icmp)
		return -DROP_TRUNCATED;
	if (icmp->type != ICMPV6_TYPE_ECHO_REQUEST || icmp->code)
		return -DROP_GATEWAY_NOT_ECHO;

	gateway = ip->daddr;
	ip->daddr = ip->saddr; /* as above, for the pseudo-header */
	ip->saddr = gateway;
	ip->hop_limit = GATEWAY_TTL;
	gateway_echo_stamp(icmp, ICMPV6_TYPE_ECHO_REPLY);
	return gateway_echo_send(eth, port);
}

#endif
