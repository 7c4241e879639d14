/* gr_count_r1: totals per CPU. Written by every program, read by genied. */
#ifndef GENIE_MAPS_COUNT_H
#define GENIE_MAPS_COUNT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, GENIE_COUNT_MAX);
} gr_count_r1 SEC(".maps");

/* No atomics: the slot is this CPU's, and packets do not interrupt packets. */
static __always_inline void count_add(enum packet_count which, __u64 number)
{
	__u32 index = which;
	__u64 *total = bpf_map_lookup_elem(&gr_count_r1, &index);

	if (total)
		*total += number;
}

static __always_inline void count(enum packet_count which)
{
	count_add(which, 1);
}

#endif
