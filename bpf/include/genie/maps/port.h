/* gr_port_r2: pod interfaces of this node. Written by genied, read by
 * pod_egress.
 */
#ifndef GENIE_MAPS_PORT_H
#define GENIE_MAPS_PORT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct port_key);
	__type(value, struct port_value);
	__uint(max_entries, GENIE_PORT_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_port_r2 SEC(".maps");

static __always_inline const struct port_value *port_lookup(__u32 ifindex)
{
	struct port_key key = { .ifindex = ifindex };

	return bpf_map_lookup_elem(&gr_port_r2, &key);
}

#endif
