/* gr_hop_r1: by which neighbour each IPv4 VTEP is reached, for a moment. Written
 * and read by pod_egress.
 */
#ifndef GENIE_MAPS_HOP_H
#define GENIE_MAPS_HOP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/hash.h>

/* A slot by the hash of the VTEP. Each CPU has its own, and packets do not
 * interrupt packets. Of two VTEPs in one slot the last one used is known.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct hop_value);
	__uint(max_entries, GENIE_HOP_MAX);
} gr_hop_r1 SEC(".maps");

/* The slot that `vtep` has, whatever is in it. */
static __always_inline struct hop_value *hop_slot(__be32 vtep)
{
	__u32 index = hash_mix(vtep) % GENIE_HOP_MAX;

	return bpf_map_lookup_elem(&gr_hop_r1, &index);
}

#endif
