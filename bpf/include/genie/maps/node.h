/* gr_node_r2: this node's own facts. Written by genied, read by every program.
 */
#ifndef GENIE_MAPS_NODE_H
#define GENIE_MAPS_NODE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct node_value);
	__uint(max_entries, 1);
} gr_node_r2 SEC(".maps");

/* The row; never NULL on a loaded map, but the verifier wants it checked. */
static __always_inline const struct node_value *node_lookup(void)
{
	__u32 index = 0;

	return bpf_map_lookup_elem(&gr_node_r2, &index);
}

/* What marks metadata as this node's. */
static __always_inline __u32 node_magic(const struct node_value *node)
{
	return GENIE_METADATA_MAGIC ^ node->vtep.words[0] ^
	       node->vtep.words[1] ^ node->vtep.words[2] ^ node->vtep.words[3];
}

#endif
