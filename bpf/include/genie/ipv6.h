/* IPv6 header fields and the checks that every program makes. */
#ifndef GENIE_IPV6_H
#define GENIE_IPV6_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/cursor.h>
#include <genie/ipv4.h>

#define IPV6_FLOW_LABEL_MASK 0x000fffff

/* Whether the length agrees with the `size` bytes there are. Extension headers
 * are let through: they are the receiver's to judge.
 */
static __always_inline int ipv6_is_sane(const struct ipv6hdr *it, __u32 size)
{
	return it->version == 6 &&
	       bpf_ntohs(it->payload_len) + sizeof(*it) <= size;
}

static __always_inline int ipv6_is_multicast(const void *address)
{
	return *(const __u8 *)address == 0xff;
}

/* To more than the sender itself (RFC 4291 section 2.7). */
static __always_inline int ipv6_is_many(const void *address)
{
	const __u8 *bytes = address;

	return bytes[0] == 0xff && (bytes[1] & 0xf) > 1;
}

static __always_inline int ipv6_is_link_local(const void *address)
{
	return (*(const __be32 *)address & bpf_htonl(0xffc00000)) ==
	       bpf_htonl(0xfe800000);
}

/* Whether a router passes on what is sent there: not to the link alone, to a
 * loopback, to nobody, or to what stands for an IPv4 address (RFC 4291 section
 * 2.5), and not to many.
 */
static __always_inline int ipv6_is_routed(const void *address)
{
	const __be32 *words = address;

	if (ipv6_is_link_local(address) || ipv6_is_multicast(address))
		return 0;
	return words[0] || words[1] ||
	       (words[2] && words[2] != bpf_htonl(0xffff));
}

/* DSCP and ECN, as the type of service of IPv4 has them. */
static __always_inline __u8 ipv6_class(const struct ipv6hdr *it)
{
	return bpf_ntohl(*(const __be32 *)it) >> 20;
}

/* Changes bits of the class; no checksum covers them. */
static __always_inline void ipv6_flip_class(struct ipv6hdr *it, __u8 bits)
{
	*(__be32 *)it ^= bpf_htonl((__u32)bits << 20);
}

/*
 * The number of a flow, as that of IPv4: with the ports where they follow at
 * once, else with the flow label (RFC 6437), which fragments share.
 */
static __always_inline __u32 ipv6_flow_hash(const struct ipv6hdr *it,
					    struct cursor behind)
{
	const __u32 *words = (const void *)&it->saddr;
	const __u32 *ports = NULL;
	__u32 hash = 0;

#pragma unroll
	for (int i = 0; i < 8; i++)
		hash = hash * 31 + words[i];
	if (it->nexthdr == IPPROTO_TCP || it->nexthdr == IPPROTO_UDP ||
	    it->nexthdr == IPPROTO_SCTP)
		ports = cursor_take(&behind, sizeof(*ports));
	hash = hash_mix(hash) ^
	       (ports ? *ports
		      : *(const __be32 *)it & bpf_htonl(IPV6_FLOW_LABEL_MASK));
	return hash_mix(hash ^ it->nexthdr);
}

#endif
