/* gr_icmp_r1: when each pod may be sent ICMP errors again. Written and read by
 * pod_egress.
 */
#ifndef GENIE_MAPS_ICMP_H
#define GENIE_MAPS_ICMP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/rate.h>

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

/* Whether another error may be sent now. */
static __always_inline int icmp_allow(__u32 ifindex)
{
	__u32 index = ifindex % GENIE_PORT_MAX;

	return rate_allow(bpf_map_lookup_elem(&gr_icmp_r1, &index),
			  ICMP_INTERVAL_NS, ICMP_BURST);
}

#endif
