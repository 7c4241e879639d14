/* gr_hop_r1: by which neighbour each VTEP is reached, for a moment. Written and
 * read by pod_egress.
 */
#ifndef GENIE_MAPS_HOP_H
#define GENIE_MAPS_HOP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/hash.h>

/* Address families by their numbers; <sys/socket.h> is not for programs. */
#define HOP_AF_INET 2
#define HOP_AF_INET6 10

/*
 * What the kernel's routes say of a VTEP. For programs alone.
 *   off size field
 *    0  16   vtep        zero until the slot is used
 *   16   8   until       in jiffies
 *   24  20   neighbour   family zero: the kernel is to find it, each time
 *   44   4   pad0
 */
struct hop_value {
	struct ip_address vtep;
	__u64 until;
	struct bpf_redir_neigh neighbour;
	__u32 pad0;
};
_Static_assert(sizeof(struct hop_value) == 48, "hop_value is pinned");

/* A slot by the hash of the VTEP. Each CPU has its own, so that none reads what
 * another one is writing. Of two VTEPs in one slot the last one used is known.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct hop_value);
	__uint(max_entries, GENIE_HOP_MAX);
} gr_hop_r1 SEC(".maps");

/* The slot that `vtep` has, whatever is in it. */
static __always_inline struct hop_value *hop_slot(const struct ip_address *vtep)
{
	__u32 index = hash_mix(vtep->words[0] ^ vtep->words[1] ^
			       vtep->words[2] ^ vtep->words[3]) %
		      GENIE_HOP_MAX;

	return bpf_map_lookup_elem(&gr_hop_r1, &index);
}

#endif
