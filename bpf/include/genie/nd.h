/* Neighbour discovery from a pod, answered in place (RFC 4861, RFC 4862). */
#ifndef GENIE_ND_H
#define GENIE_ND_H

#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum_packet.h>
#include <genie/cursor.h>
#include <genie/icmp.h>
#include <genie/ipv6.h>
#include <genie/maps/count.h>
#include <genie/maps/endpoint.h>
#include <genie/verdict.h>

/* A solicitation or an advertisement (RFC 4861 sections 4.3 and 4.4). */
struct nd_message {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 flags;
	__be32 target[4];
};
_Static_assert(sizeof(struct nd_message) == 24, "RFC 4861");

/* The option that holds a link-layer address (RFC 4861 section 4.6.1). */
struct nd_link_option {
	__u8 type;
	__u8 size; /* in units of 8 bytes */
	__u8 mac[6];
};
_Static_assert(sizeof(struct nd_link_option) == 8, "RFC 4861");

#define ND_MESSAGE_AT (ETH_HLEN + sizeof(struct ipv6hdr))
#define ND_OPTIONS_AT (ND_MESSAGE_AT + sizeof(struct nd_message))
#define ND_ANSWER_SIZE \
	(sizeof(struct nd_message) + sizeof(struct nd_link_option))
/* Longer solicitations are nobody's: one link-layer address and a nonce. */
#define ND_OPTIONS_MAX 4

#define ND_HOP_LIMIT 255 /* proof that no router passed it on */
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2
#define ND_FLAG_ROUTER 0x80000000u
#define ND_FLAG_SOLICITED 0x40000000u
#define ND_FLAG_OVERRIDE 0x20000000u

static __always_inline int nd_is_message(__u8 type)
{
	return type >= ICMPV6_TYPE_ROUTER_SOLICITATION &&
	       type <= ICMPV6_TYPE_REDIRECT;
}

/* What is copied out of a solicitation before the frame changes its size. */
struct nd_question {
	__be32 target[4];
	__u32 is_probe; /* duplicate address detection: the sender has none */
	__u32 flags;	/* of the answer */
};

/* Reads the options: whole ones, and no other MAC than the pod's. */
static __noinline int nd_check_options(struct __sk_buff *skb, __u32 size,
				       const struct port_value *port)
{
	__u32 at = ND_OPTIONS_AT;
	__u32 end = at + size;
	int found = 0;

	if (!port)
		return -DROP_NO_PORT;
	for (int i = 0; i < ND_OPTIONS_MAX && at < end; i++) {
		/* The verifier wants the MAC aligned. */
		struct {
			__u16 pad0;
			struct nd_link_option it;
		} option __attribute__((aligned(8)));

		if (at + sizeof(option.it) > end ||
		    bpf_skb_load_bytes(skb, at, &option.it,
				       sizeof(option.it)) ||
		    !option.it.size)
			return -DROP_ND_MALFORMED;
		if (option.it.type == ND_OPTION_SOURCE) {
			if (option.it.size != 1)
				return -DROP_ND_MALFORMED;
			if (!mac_equals(option.it.mac, port->mac))
				return -DROP_ND_SPOOFED;
			found = 1;
		}
		at += option.it.size * 8;
	}
	return at == end ? found : -DROP_ND_MALFORMED;
}

/* What RFC 4861 section 7.1.1 demands of a solicitation but its checksum. */
static __always_inline int nd_check_form(const struct ipv6hdr *ip,
					 const struct nd_message *nd)
{
	if (ip->hop_limit != ND_HOP_LIMIT || nd->code ||
	    ipv6_is_multicast(nd->target))
		return -DROP_ND_MALFORMED;
	return 0;
}

/* Whether anyone but the asking pod answers for the target. */
static __always_inline int nd_check_target(const struct port_value *port,
					   struct nd_question *question)
{
	if (address_equals_v6(&port->address6, question->target) ||
	    address_is_link_local_of(question->target, port->mac))
		return -DROP_ND_OWN_ADDRESS;
	if (!question->is_probe)
		question->flags = ND_FLAG_SOLICITED;
	if (address_equals_v6(&port->gateway6, question->target)) {
		question->flags |= ND_FLAG_ROUTER | ND_FLAG_OVERRIDE;
		return 0;
	}
	/* Answered for somebody else: no override (RFC 4861 section 7.2.8). */
	return endpoint_lookup_v6(port->vni, question->target)
		       ? 0
		       : -DROP_ND_NO_TARGET;
}

/* Reads a message of neighbour discovery from a pod; zero is a question that is
 * to be answered.
 */
static __noinline int nd_read(struct __sk_buff *skb, __u8 type,
			      const struct port_value *port,
			      struct nd_question *question)
{
	struct cursor at = cursor_of_skb(skb);
	const struct nd_message *nd;
	const struct ipv6hdr *ip;
	struct ip_address source;
	__u32 size;
	int found;

	if (!port || !question)
		return -DROP_NO_PORT;
	ip = cursor_take(&at, ETH_HLEN + sizeof(*ip));
	if (!ip)
		return -DROP_TRUNCATED;
	ip = (void *)ip + ETH_HLEN;
	source = address_from_v6(&ip->saddr);
	question->is_probe = address_is_zero(&source);
	if (!question->is_probe &&
	    !address_equals_v6(&port->address6, &ip->saddr) &&
	    !address_is_link_local_of(&ip->saddr, port->mac))
		return -DROP_ND_SPOOFED;
	if (type == ICMPV6_TYPE_ROUTER_SOLICITATION)
		return -DROP_ROUTER_SOLICITATION;
	if (type != ICMPV6_TYPE_SOLICITATION)
		return -DROP_ND_NOT_SOLICITATION;
	size = bpf_ntohs(ip->payload_len);
	nd = cursor_take(&at, sizeof(*nd));
	if (!nd || size < sizeof(*nd) || nd_check_form(ip, nd))
		return -DROP_ND_MALFORMED;
	__builtin_memcpy(question->target, nd->target, sizeof(nd->target));
	if (csum_fold(csum_add_bytes(
		    skb, ND_MESSAGE_AT, size,
		    csum_pseudo_v6(ip, size, IPPROTO_ICMPV6))) != 0xffff)
		return -DROP_ND_MALFORMED;
	found = nd_check_options(skb, size - sizeof(*nd), port);
	if (found < 0)
		return found;
	/* Who has no address has no neighbour that could note its MAC. */
	if (question->is_probe && found)
		return -DROP_ND_MALFORMED;
	return nd_check_target(port, question);
}

/* To the sender, or to all nodes when it has no address (section 7.2.4). */
static __always_inline void nd_address(struct ethhdr *eth, struct ipv6hdr *ip,
				       const struct port_value *port,
				       const struct nd_question *question)
{
	mac_copy(eth->h_source, port->gateway_mac);
	if (question->is_probe) {
		*(__be16 *)eth->h_dest = bpf_htons(0x3333);
		*(__be32 *)(eth->h_dest + 2) = bpf_htonl(1);
		ip->daddr.in6_u.u6_addr32[0] = bpf_htonl(0xff020000);
		ip->daddr.in6_u.u6_addr32[1] = 0;
		ip->daddr.in6_u.u6_addr32[2] = 0;
		ip->daddr.in6_u.u6_addr32[3] = bpf_htonl(1);
	} else {
		mac_copy(eth->h_dest, port->mac);
		ip->daddr = ip->saddr;
	}
	__builtin_memcpy(&ip->saddr, question->target, sizeof(ip->saddr));
}

/* Answers a solicitation for the gateway or a known endpoint of the same VPC
 * with the gateway's MAC: whatever the pod sends is routed.
 */
static __noinline int nd_stage(struct __sk_buff *skb, __u8 type,
			       const struct port_value *port)
{
	struct nd_question question = { 0 };
	struct nd_link_option *option;
	struct nd_message *nd;
	struct ipv6hdr *ip;
	struct ethhdr *eth;
	struct cursor at;
	int error;

	if (!port)
		return -DROP_NO_PORT;
	error = nd_read(skb, type, port, &question);
	if (error)
		return error;
	if (bpf_skb_change_tail(skb, ND_MESSAGE_AT + ND_ANSWER_SIZE, 0))
		return -DROP_ND_MALFORMED;
	at = cursor_of_skb(skb);
	eth = cursor_take(&at, ND_MESSAGE_AT + ND_ANSWER_SIZE);
	if (!eth)
		return -DROP_ND_MALFORMED;
	ip = (void *)(eth + 1);
	nd = (void *)(ip + 1);
	option = (void *)(nd + 1);
	nd_address(eth, ip, port, &question);
	ip->payload_len = bpf_htons(ND_ANSWER_SIZE);
	nd->type = ICMPV6_TYPE_ADVERTISEMENT;
	nd->flags = bpf_htonl(question.flags);
	nd->check = 0;
	option->type = ND_OPTION_TARGET;
	option->size = 1;
	mac_copy(option->mac, port->gateway_mac);
	nd->check = ~csum_fold(bpf_csum_diff(
		NULL, 0, (void *)nd, ND_ANSWER_SIZE,
		csum_pseudo_v6(ip, ND_ANSWER_SIZE, IPPROTO_ICMPV6)));
	count(COUNT_ND_REPLY);
	return VERDICT_ANSWER;
}

#endif
