/* gr_path_r1: paths to other nodes that carry less than the uplink. Written by
 * uplink_ingress, read by pod_egress.
 */
#ifndef GENIE_MAPS_PATH_H
#define GENIE_MAPS_PATH_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/hash.h>

/*
 * A slot by the hash of the VTEP, which is in it for comparison: reading it
 * costs every packet next to nothing, and of two paths in one slot the one that
 * was heard of last is known. Torn by two CPUs it is a wrong size for a packet.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct path_value);
	__uint(max_entries, GENIE_PATH_MAX);
} gr_path_r1 SEC(".maps");

/* RFC 1191 section 6.3: after ten minutes a path may be tried anew. */
#define PATH_LIFE_NS 600000000000ull
/* IPv6 knows no smaller (RFC 8200 section 5). News of less may be forged, and
 * would make pods send slivers.
 */
#define PATH_MTU_MIN 1280

static __always_inline struct path_value *
path_slot(const struct ip_address *vtep)
{
	__u32 index = hash_mix(vtep->words[0] ^ vtep->words[1] ^
			       vtep->words[2] ^ vtep->words[3]) %
		      GENIE_PATH_MAX;

	return bpf_map_lookup_elem(&gr_path_r1, &index);
}

/* The largest inner packet on the way to `vtep`, at most `mtu`. */
static __always_inline __u32 path_mtu(const struct ip_address *vtep, __u32 mtu)
{
	const struct path_value *path = path_slot(vtep);

	if (!path || !path->until || path->mtu >= mtu ||
	    !address_equals_v6(vtep, &path->vtep) ||
	    bpf_ktime_get_ns() >= path->until)
		return mtu;
	return path->mtu;
}

static __always_inline void path_note(const struct ip_address *vtep, __u32 mtu)
{
	struct path_value *path = path_slot(vtep);

	if (!path)
		return;
	path->vtep = *vtep;
	path->mtu = mtu < PATH_MTU_MIN ? PATH_MTU_MIN : mtu;
	path->until = bpf_ktime_get_ns() + PATH_LIFE_NS;
}

#endif
