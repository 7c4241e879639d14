/* gr_drop_r2: dropped packets by VPC, pod and reason, per CPU. Written by every
 * program, read by genied. Rows appear with the first drop.
 */
#ifndef GENIE_MAPS_DROP_H
#define GENIE_MAPS_DROP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/maps/count.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct drop_key);
	__type(value, __u64);
	__uint(max_entries, GENIE_DROP_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_drop_r2 SEC(".maps");

static __always_inline struct drop_key drop_key(__u32 vni, __u32 ifindex,
						__u32 reason)
{
	return (struct drop_key){
		.vni = vni,
		.ifindex = ifindex,
		.reason = reason,
	};
}

/* Counts one drop. `vni` and `ifindex` must come from a map, or be zero. */
static __noinline int drop_count(__u32 vni, __u32 ifindex, __u32 reason)
{
	struct drop_key key = drop_key(vni, ifindex, reason);
	__u64 *total = bpf_map_lookup_elem(&gr_drop_r2, &key);
	__u64 zero = 0;

	if (!total) {
		/* Another CPU may come first: the second lookup decides. */
		bpf_map_update_elem(&gr_drop_r2, &key, &zero, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&gr_drop_r2, &key);
	}
	if (total)
		(*total)++;
	else
		count(COUNT_DROP_UNCOUNTED);
	return 0;
}

#endif
