/* ICMP echo to a VPC's gateway address, answered in place (RFC 792). */
#ifndef GENIE_GATEWAY_ECHO_H
#define GENIE_GATEWAY_ECHO_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/ipv4.h>
#include <genie/maps/count.h>
#include <genie/verdict.h>

struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 rest;
};

#define ICMP_TYPE_ECHO_REPLY 0
#define ICMP_TYPE_ECHO_REQUEST 8
#define GATEWAY_TTL 64

/* A message of nothing but zeroes sums up to plus zero, which the update cannot
 * tell from minus zero; 0xffff is a right checksum for both, zero is not.
 */
static __always_inline void gateway_echo_stamp(struct icmp_header *icmp)
{
	__u16 check = csum_replace(icmp->check,
				   bpf_htons(ICMP_TYPE_ECHO_REQUEST << 8),
				   bpf_htons(ICMP_TYPE_ECHO_REPLY << 8));

	icmp->check = check ?: 0xffff;
	icmp->type = ICMP_TYPE_ECHO_REPLY;
}

/* Nothing but echo is answered at the gateway address. `at` stands behind the
 * IPv4 header.
 */
static __always_inline int gateway_echo(struct ethhdr *eth, struct iphdr *ip,
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

	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, port->gateway_mac);
	ip->daddr = ip->saddr; /* a swap leaves the checksum as it is */
	ip->saddr = gateway;
	ipv4_set_ttl(ip, GATEWAY_TTL);
	gateway_echo_stamp(icmp);
	count(COUNT_GATEWAY_ECHO);
	return VERDICT_ANSWER;
}

#endif
