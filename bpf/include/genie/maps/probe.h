/* gr_probe_r1: the packet that is being traced, if any. Written by genied, read
 * by pod_egress. gr_seen_r1: what the programs made of traced packets. A
 * log: the one map whose oldest rows may go.
 */
#ifndef GENIE_MAPS_PROBE_H
#define GENIE_MAPS_PROBE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct probe_value);
	__uint(max_entries, 1);
} gr_probe_r1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct probe_seen_key);
	__type(value, struct probe_seen_value);
	__uint(max_entries, GENIE_PROBE_SEEN_MAX);
} gr_seen_r1 SEC(".maps");

/* The row while a packet of this VPC is traced, else NULL. */
static __always_inline const struct probe_value *probe_lookup(__u32 vni)
{
	__u32 index = 0;
	const struct probe_value *row =
		bpf_map_lookup_elem(&gr_probe_r1, &index);

	return row && row->vni == vni ? row : NULL;
}

/* Notes what a program decided of a traced packet. */
static __noinline int probe_note(__u32 mark, __u32 hook, __u32 vni,
				 __u32 ifindex, int verdict)
{
	struct probe_seen_key key = { .mark = mark, .hook = hook };
	struct probe_seen_value value = {
		.nanoseconds = bpf_ktime_get_ns(),
		.vni = vni,
		.ifindex = ifindex,
		.verdict = verdict,
	};

	bpf_map_update_elem(&gr_seen_r1, &key, &value, BPF_ANY);
	return 0;
}

#endif
