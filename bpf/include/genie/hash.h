/* Integer hashing. */
#ifndef GENIE_HASH_H
#define GENIE_HASH_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* Spreads one 32-bit word over all bits (the finalizer of MurmurHash3). */
static __always_inline __u32 hash_mix(__u32 word)
{
	word = (word ^ word >> 16) * 0x85ebca6b;
	word = (word ^ word >> 13) * 0xc2b2ae35;
	return word ^ word >> 16;
}

#endif
