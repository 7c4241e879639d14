/* gr_vni_r1: the VPCs that have an endpoint on this node. Written by genied,
 * read by the uplink programs.
 */
#ifndef GENIE_MAPS_VNI_H
#define GENIE_MAPS_VNI_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct vni_key);
	__type(value, struct vni_value);
	__uint(max_entries, GENIE_VNI_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_vni_r1 SEC(".maps");

static __always_inline const struct vni_value *vni_lookup(__u32 vni)
{
	struct vni_key key = { .vni = vni };

	return bpf_map_lookup_elem(&gr_vni_r1, &key);
}

#endif
