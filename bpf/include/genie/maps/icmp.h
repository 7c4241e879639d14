/* gr_icmp_r1: when each pod may be sent ICMP errors again. Written and read by
 * pod_egress.
 */
#ifndef GENIE_MAPS_ICMP_H
#define GENIE_MAPS_ICMP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

/* A slot by the port's ifindex, modulo: ports that share one share the limit,
 * and no row has to come and go with a pod.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, GENIE_PORT_MAX);
} gr_icmp_r1 SEC(".maps");

#define ICMP_INTERVAL_NS 10000000ull /* 100 a second */
#define ICMP_BURST 32

/* Whether another error may be sent now (the generic cell rate algorithm: the
 * slot holds the time at which the next one is on schedule). Of two CPUs that
 * come at once one is refused.
 */
static __always_inline int icmp_allow(__u32 ifindex)
{
	__u32 index = ifindex % GENIE_PORT_MAX;
	__u64 *slot = bpf_map_lookup_elem(&gr_icmp_r1, &index);
	__u64 now = bpf_ktime_get_ns();
	__u64 due, from;

	if (!slot)
		return 0;
	due = *slot;
	from = due > now ? due : now;
	if (from - now >= ICMP_BURST * ICMP_INTERVAL_NS)
		return 0;
	return __sync_val_compare_and_swap(slot, due,
					   from + ICMP_INTERVAL_NS) == due;
}

#endif
