/* gr_many_r1: where packets to a whole group go; gr_many_rate_r1: when each pod
 * may send the next of them. The first is written by genied and read by every
 * program that runs in tc, the second belongs to pod_egress.
 */
#ifndef GENIE_MAPS_MANY_H
#define GENIE_MAPS_MANY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/rate.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct many_key);
	__type(value, struct many_value);
	__uint(max_entries, GENIE_MANY_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_many_r1 SEC(".maps");

/* A slot by the port's ifindex, modulo, as for ICMP errors. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, GENIE_PORT_MAX);
} gr_many_rate_r1 SEC(".maps");

#define MANY_INTERVAL_NS 1000000ull /* 1,000 a second */
#define MANY_BURST 128

static __always_inline const struct many_value *
many_lookup(__u32 vni, __u32 group, __u32 index)
{
	struct many_key key = { .vni = vni, .group = group, .index = index };

	return bpf_map_lookup_elem(&gr_many_r1, &key);
}

static __always_inline int many_allow(__u32 ifindex)
{
	__u32 index = ifindex % GENIE_PORT_MAX;

	return rate_allow(bpf_map_lookup_elem(&gr_many_rate_r1, &index),
			  MANY_INTERVAL_NS, MANY_BURST);
}

/* gr_many_mark_r1: see struct many_secret. Written by genied, read by pod_egress.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct many_secret);
	__uint(max_entries, 1);
} gr_many_mark_r1 SEC(".maps");

static __always_inline const struct many_secret *many_secret(void)
{
	__u32 index = 0;

	return bpf_map_lookup_elem(&gr_many_mark_r1, &index);
}

#endif
