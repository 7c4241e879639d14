/* The VPC that is open to its node.
 *
 * The node is in it as an endpoint of its own, whose device and port are a pair
 * of veths that both stay on the node. What pods of that VPC send to nobody in
 * it goes to the node's stack, by that device; what comes out of the device may
 * have any source, since the node forwards for others.
 */
#ifndef GENIE_OPEN_H
#define GENIE_OPEN_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/maps/endpoint.h>
#include <genie/maps/node.h>

/* Whether packets of the port come out of the node's own stack. */
static __always_inline int open_is_node(__u32 ifindex)
{
	const struct node_value *node = node_lookup();

	return node && node->open_ifindex == ifindex;
}

/* Whether the node may send with this source: with that of no endpoint. */
static __always_inline int open_may_forward_v4(__u32 ifindex, __u32 vni,
					       __be32 source)
{
	return open_is_node(ifindex) && !endpoint_lookup_v4(vni, source);
}

static __always_inline int open_may_forward_v6(__u32 ifindex, __u32 vni,
					       const void *source)
{
	return open_is_node(ifindex) && !endpoint_lookup_v6(vni, source);
}

/* The node's facts where what a pod sends to nobody is for its stack; NULL
 * where it is for no one. What the node itself sends never comes back to it.
 */
static __always_inline const struct node_value *open_way(__u32 ifindex,
							 __u32 vni)
{
	const struct node_value *node = node_lookup();

	if (!node || !node->open_ifindex || node->open_vni != vni ||
	    node->open_ifindex == ifindex)
		return NULL;
	return node;
}

#endif
