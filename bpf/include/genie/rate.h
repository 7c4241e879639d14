/* Bounds on how often something is done for a pod. */
#ifndef GENIE_RATE_H
#define GENIE_RATE_H

#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

/* Whether one more may be done now, of one each `interval` ns and `burst` at
 * once (the generic cell rate algorithm: the slot holds the time at which the
 * next one is on schedule). Of two CPUs that come at once one is refused.
 */
static __always_inline int rate_allow(__u64 *slot, __u64 interval, __u32 burst)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 due, from;

	if (!slot)
		return 0;
	due = *slot;
	from = due > now ? due : now;
	if (from - now >= burst * interval)
		return 0;
	return __sync_val_compare_and_swap(slot, due, from + interval) == due;
}

#endif
