/* Checksums over whole messages, which only made-up answers need. */
#ifndef GENIE_CSUM_PACKET_H
#define GENIE_CSUM_PACKET_H

#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <genie/csum.h>

#define CSUM_CHUNK 64
/* The largest ICMPv6 message made here, with its headers, is 1280 bytes. */
#define CSUM_CHUNKS_MAX 20

struct csum_walk {
	struct __sk_buff *skb;
	__u32 at;
	__u32 size;
	__u32 sum;
};

/* Adds one piece; 1 ends the walk. */
static long csum_walk_step(__u32 index, void *context)
{
	struct csum_walk *walk = context;
	__be32 chunk[CSUM_CHUNK / 4] = { 0 };
	__u32 count = walk->size < CSUM_CHUNK ? walk->size : CSUM_CHUNK;

	(void)index;
	if (!count || bpf_skb_load_bytes(walk->skb, walk->at, chunk, count))
		return 1;
	walk->sum = bpf_csum_diff(NULL, 0, chunk, sizeof(chunk), walk->sum);
	walk->at += count;
	walk->size -= count;
	return 0;
}

/* Adds `size` bytes of the frame from `at` on to a sum; more than 1280, or
 * bytes that are not there, make a wrong sum. A bpf_loop and not a plain one:
 * the verifier would walk every step for every caller.
 */
static __noinline __u32 csum_add_bytes(struct __sk_buff *skb, __u32 at,
				       __u32 size, __u32 sum)
{
	struct csum_walk walk = {
		.skb = skb, .at = at, .size = size, .sum = sum
	};

	bpf_loop(CSUM_CHUNKS_MAX, csum_walk_step, &walk, 0);
	return walk.sum;
}

/* The sum of the IPv6 pseudo-header (RFC 8200 section 8.1). */
static __always_inline __u32 csum_pseudo_v6(const struct ipv6hdr *ip,
					    __u32 size, __u32 protocol)
{
	__be32 words[10];

	__builtin_memcpy(words, &ip->saddr, 16);
	__builtin_memcpy(words + 4, &ip->daddr, 16);
	words[8] = bpf_htonl(size);
	words[9] = bpf_htonl(protocol);
	return bpf_csum_diff(NULL, 0, words, sizeof(words), 0);
}

#endif
