/* IPv4 header fields and the checks that every program makes. */
#ifndef GENIE_IPV4_H
#define GENIE_IPV4_H

#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <genie/cursor.h>
#include <genie/hash.h>

#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
/* RFC 3168, the same for both families. */
#define ECN_MASK 3
#define ECN_NONE 0
#define ECN_1 1
#define ECN_0 2
#define ECN_CE 3

/* Whether lengths agree with each other and with the `size` bytes there are.
 * Options are let through; the header checksum is the receiver's to judge.
 */
static __always_inline int ipv4_is_sane(const struct iphdr *it, __u32 size)
{
	__u32 total = bpf_ntohs(it->tot_len);

	return it->version == 4 && it->ihl >= 5 && total >= it->ihl * 4 &&
	       total <= size;
}

static __always_inline int ipv4_is_fragment(const struct iphdr *it)
{
	return it->frag_off &
	       bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET);
}

/* Moves `at` from behind the fixed header to behind the options of a sane one;
 * zero when they are cut off.
 */
static __always_inline int ipv4_skip_options(struct cursor *at,
					     const struct iphdr *it)
{
	__u32 size = it->ihl * 4 - sizeof(*it);

	/* The mask is for the verifier; the barrier keeps the compiler from
	 * proving it useless.
	 */
	barrier_var(size);
	size &= 0x3c;
	return !!cursor_take(at, size);
}

/*
 * A number that stays the same for a flow and differs between flows: addresses,
 * protocol and, unless the packet is a fragment, the first four bytes behind
 * the header (the ports of TCP, UDP and SCTP).
 *
 * Own arithmetic and not the skb's hash, which is another one after a reboot
 * and has to be computed for UDP anyway.
 */
static __always_inline __u32 ipv4_flow_hash(const struct iphdr *it,
					    struct cursor behind)
{
	__u32 hash = it->saddr * 31 + it->daddr;
	const __u32 *ports;

	if (!ipv4_is_fragment(it) &&
	    (it->protocol == IPPROTO_TCP || it->protocol == IPPROTO_UDP ||
	     it->protocol == IPPROTO_SCTP)) {
		ports = cursor_take(&behind, sizeof(*ports));
		if (ports)
			hash = hash_mix(hash) ^ *ports;
	}
	return hash_mix(hash ^ it->protocol);
}

/* Multicast (RFC 5771) or the limited broadcast. */
static __always_inline int ipv4_is_many(__be32 address)
{
	return (address & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) ||
	       address == ~0u;
}

/* Whether a router passes on what is sent there: not to this network (0/8), a
 * loopback, the link alone (RFC 3927), or to many.
 */
static __always_inline int ipv4_is_routed(__be32 address)
{
	__u32 host = bpf_ntohl(address);

	return host >> 24 && host >> 24 != 127 && host >> 16 != 0xa9fe &&
	       host < 0xe0000000;
}

/* The protocol where its header is in this packet; zero in a later fragment. */
static __always_inline __u8 ipv4_first_protocol(const struct iphdr *ip)
{
	return ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET) ? 0
							      : ip->protocol;
}

#endif
