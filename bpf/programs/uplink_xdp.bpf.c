/* Native XDP of an uplink: strips tunnel packets before an skb exists, so that
 * GRO merges the inner segments, and leaves word for the tc program.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/geneve.h>
#include <genie/maps/count.h>
#include <genie/maps/drop.h>
#include <genie/probe.h>
#include <genie/verdict.h>

static __always_inline int drop(const struct tunnel_target *target, int reason)
{
	drop_count(target->vni, target->ifindex, reason);
	return XDP_DROP;
}

/*
 * Takes the outer headers off and puts the metadata in front.
 *
 * The frame keeps the pod's MAC, which is not the uplink's: should the tc
 * program be missing, the node's stack drops the packet instead of routing it.
 */
static __always_inline int strip(struct xdp_md *xdp,
				 const struct tunnel_target *target)
{
	const struct node_value *node = node_lookup();
	struct uplink_metadata *metadata;
	struct ethhdr *eth;
	struct cursor at;

	/* A driver without metadata support: the tc program does it all. */
	if (!node || bpf_xdp_adjust_meta(xdp, -(int)sizeof(*metadata)))
		return XDP_PASS;
	if (bpf_xdp_adjust_head(xdp, target->is_over_v6
					     ? GENIE_TUNNEL_OVERHEAD_V6
					     : GENIE_TUNNEL_OVERHEAD))
		return drop(target, DROP_DECAP_FAILED);

	at = cursor_of((void *)(long)xdp->data, (void *)(long)xdp->data_end);
	metadata = (void *)(long)xdp->data_meta;
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth || (void *)(metadata + 1) > (void *)(long)xdp->data ||
	    !tunnel_apply_ecn(at, target))
		return drop(target, DROP_DECAP_FAILED);
	mac_copy(eth->h_source, target->gateway_mac);
	metadata->magic = node_magic(node);
	metadata->vni = target->vni;
	metadata->ifindex = target->ifindex;
	count(COUNT_XDP_STRIPPED);
	return XDP_PASS;
}

SEC("xdp.frags")
int uplink_xdp(struct xdp_md *xdp)
{
	struct tunnel_target target = { 0 };
	struct cursor at =
		cursor_of((void *)(long)xdp->data, (void *)(long)xdp->data_end);
	int verdict;

	verdict = tunnel_judge(at, bpf_xdp_get_buff_len(xdp), &target);
	probe_of_tunnel(at, PROBE_UPLINK_XDP, &target, verdict);
	switch (verdict) {
	case VERDICT_PASS:
	case VERDICT_CONTROL:
	case VERDICT_MANY: /* copies are made of skbs */
		return XDP_PASS;
	case VERDICT_LOCAL:
		return strip(xdp, &target);
	default:
		return drop(&target, -verdict);
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
