/* Internet checksums (RFC 1071) and their incremental update (RFC 1624). */
#ifndef GENIE_CSUM_H
#define GENIE_CSUM_H

#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

/* Folds twice: the first fold may carry again. */
static __always_inline __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The folded sum of a 20-byte header: 0xffff when its checksum is right. */
static __always_inline __u16 csum_sum_ipv4(const struct iphdr *header)
{
	const __u16 *half = (const void *)header;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += half[i];
	return csum_fold(sum);
}

/* RFC 1624 equation 3: HC' = ~(~HC + ~m + m'). */
static __always_inline __u16 csum_replace(__u16 check, __u16 from, __u16 to)
{
	return ~csum_fold((__u16)~check + (__u16)~from + to);
}

/* Sets the TTL; it shares its 16-bit word with the protocol. */
static __always_inline void ipv4_set_ttl(struct iphdr *header, __u8 ttl)
{
	__u16 from = bpf_htons(header->ttl << 8 | header->protocol);
	__u16 to = bpf_htons(ttl << 8 | header->protocol);

	header->ttl = ttl;
	header->check = csum_replace(header->check, from, to);
}

/* Sets the type of service; it shares its word with version and length. */
static __always_inline void ipv4_set_tos(struct iphdr *header, __u8 tos)
{
	__u16 first = *(__u8 *)header << 8;
	__u16 from = bpf_htons(first | header->tos);
	__u16 to = bpf_htons(first | tos);

	header->tos = tos;
	header->check = csum_replace(header->check, from, to);
}

#endif
