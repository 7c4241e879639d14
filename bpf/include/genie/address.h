/* IP and MAC addresses: make, copy, compare. */
#ifndef GENIE_ADDRESS_H
#define GENIE_ADDRESS_H

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>

static __always_inline struct ip_address address_from_v4(__be32 address)
{
	return (struct ip_address){ { 0, 0, bpf_htonl(0xffff), address } };
}

/* `address` is an IPv6 address in a packet. */
static __always_inline struct ip_address address_from_v6(const void *address)
{
	const __be32 *words = address;

	return (struct ip_address){ { words[0], words[1], words[2],
				      words[3] } };
}

static __always_inline int address_is_v4(const struct ip_address *it)
{
	return !(it->words[0] | it->words[1]) &&
	       it->words[2] == bpf_htonl(0xffff);
}

static __always_inline int address_equals_v4(const struct ip_address *it,
					     __be32 address)
{
	return address_is_v4(it) && it->words[3] == address;
}

static __always_inline int address_equals_v6(const struct ip_address *it,
					     const void *address)
{
	const __be32 *words = address;

	return !((it->words[0] ^ words[0]) | (it->words[1] ^ words[1]) |
		 (it->words[2] ^ words[2]) | (it->words[3] ^ words[3]));
}

static __always_inline int address_is_zero(const struct ip_address *it)
{
	return !(it->words[0] | it->words[1] | it->words[2] | it->words[3]);
}

static __always_inline int mac_equals(const __u8 *one, const __u8 *other)
{
	return *(const __u32 *)one == *(const __u32 *)other &&
	       *(const __u16 *)(one + 4) == *(const __u16 *)(other + 4);
}

/* Whether an IPv6 address is the link-local one that is made of a MAC
 * (RFC 4291 section 2.5.6 and appendix A).
 */
static __always_inline int address_is_link_local_of(const void *address,
						    const __u8 *mac)
{
	const __be32 *words = address;

	return words[0] == bpf_htonl(0xfe800000) && !words[1] &&
	       words[2] == bpf_htonl((mac[0] ^ 2) << 24 | mac[1] << 16 |
				     mac[2] << 8 | 0xff) &&
	       words[3] == bpf_htonl(0xfe000000 | mac[3] << 16 | mac[4] << 8 |
				     mac[5]);
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	*(__u32 *)to = *(const __u32 *)from;
	*(__u16 *)(to + 4) = *(const __u16 *)(from + 4);
}

/* The same where an address is not aligned to four bytes, which the stack wants
 * and packets do not.
 */
static __always_inline void mac_copy_by_halves(__u8 *to, const __u8 *from)
{
	((__u16 *)to)[0] = ((const __u16 *)from)[0];
	((__u16 *)to)[1] = ((const __u16 *)from)[1];
	((__u16 *)to)[2] = ((const __u16 *)from)[2];
}

static __always_inline int mac_is_group(const __u8 *it)
{
	return it[0] & 1;
}

#endif
