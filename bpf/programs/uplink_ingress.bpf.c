/* tc ingress of an uplink: delivers what XDP stripped, strips and delivers what
 * XDP did not see, answers the tunnel echo, and leaves the rest alone.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/deliver.h>
#include <genie/geneve.h>
#include <genie/many.h>
#include <genie/maps/count.h>
#include <genie/maps/drop.h>
#include <genie/maps/node.h>
#include <genie/path_news.h>
#include <genie/probe.h>
#include <genie/tunnel_echo.h>
#include <genie/verdict.h>

static __always_inline int drop(const struct tunnel_target *target, int reason)
{
	drop_count(target->vni, target->ifindex, reason);
	return TC_ACT_SHOT;
}

/* Fills in the pod that XDP found for this packet. No packet off the wire can
 * have metadata: only a program on this node's uplink puts it there.
 *
 * Nothing in this file writes to a packet but by helpers. A program that does has
 * cloned packets copied before it begins, and metadata does not survive that:
 * whatever is received by a packet socket on the uplink is a clone.
 */
static __always_inline int is_stripped(struct __sk_buff *skb,
				       struct tunnel_target *target)
{
	const struct uplink_metadata *metadata = (void *)(long)skb->data_meta;
	const struct node_value *node = node_lookup();

	if (!node || (void *)(metadata + 1) > (void *)(long)skb->data ||
	    metadata->magic != node_magic(node))
		return 0;
	target->vni = metadata->vni;
	target->ifindex = metadata->ifindex;
	return 1;
}

/* Not in the headers of older systems; understood from Linux 6.3 on. */
#define ADJ_ROOM_DECAP_L3_IPV4 (1u << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1u << 8)

/* Applies the change of ECN bits to the inner header; zero when it is not there.
 */
static __always_inline int tunnel_store_ecn(struct __sk_buff *skb,
					    const struct tunnel_target *target)
{
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (!target->ecn_flips)
		return 1;
	if (target->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
			return 0;
		ipv4_set_tos(&ip, ip.tos ^ target->ecn_flips);
		return !bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), 0);
	}
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)))
		return 0;
	ipv6_flip_class(&ip6, target->ecn_flips);
	/* No checksum of its own makes up for it. */
	return !bpf_skb_store_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6),
				    BPF_F_RECOMPUTE_CSUM);
}

/* Takes the outer headers off, and addresses the frame to `mac`. Returns zero, or
 * minus a drop reason.
 */
static __always_inline int strip_outer(struct __sk_buff *skb,
				       const struct tunnel_target *target,
				       const __u8 *mac)
{
	int is_v6 = target->protocol == bpf_htons(ETH_P_IPV6);
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	int overhead = GENIE_TUNNEL_OVERHEAD;
	struct ethhdr eth __attribute__((aligned(8)));

	if (target->is_over_v6)
		overhead = GENIE_TUNNEL_OVERHEAD_V6;
	/* Told only where the families differ: before Linux 6.3 nobody could be
	 * told, and the packet goes on as of the other family.
	 */
	if (is_v6 && !target->is_over_v6)
		flags |= ADJ_ROOM_DECAP_L3_IPV6;
	if (!is_v6 && target->is_over_v6)
		flags |= ADJ_ROOM_DECAP_L3_IPV4;
	if (bpf_skb_adjust_room(skb, -overhead, BPF_ADJ_ROOM_MAC, flags) &&
	    bpf_skb_adjust_room(skb, -overhead, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO))
		return -DROP_DECAP_FAILED;
	/* The room is taken from behind the outer Ethernet header. */
	mac_copy_by_halves(eth.h_dest, mac);
	mac_copy_by_halves(eth.h_source, target->gateway_mac);
	eth.h_proto = target->protocol;
	if (!tunnel_store_ecn(skb, target) ||
	    bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0))
		return -DROP_DECAP_FAILED;
	return 0;
}

static __always_inline int strip(struct __sk_buff *skb,
				 const struct tunnel_target *target)
{
	int error = strip_outer(skb, target, target->mac);

	if (error)
		return drop(target, -error);
	count(COUNT_TC_DELIVERED);
	if (skb->protocol != target->protocol)
		return deliver_anew(skb, target->vni, target->ifindex);
	return deliver(skb, target->vni, target->ifindex);
}

/* The row of the pod that sent what is behind the outer headers; NULL unless it
 * is on the node that they come from. Fills in the Ethernet address.
 */
static __always_inline const struct endpoint_value *
many_sender(struct __sk_buff *skb, const struct tunnel_target *target,
	    __u8 *mac)
{
	const struct endpoint_value *sender;
	struct cursor at = cursor_of_skb(skb);
	struct ip_address outer;
	const struct ipv6hdr *ip6;
	const struct ethhdr *eth;
	const struct iphdr *ip;

	if (!cursor_take(&at, ETH_HLEN))
		return NULL;
	if (target->is_over_v6) {
		ip6 = cursor_take(&at, sizeof(*ip6));
		if (!ip6)
			return NULL;
		outer = address_from_v6(&ip6->saddr);
	} else {
		ip = cursor_take(&at, sizeof(*ip));
		if (!ip)
			return NULL;
		outer = address_from_v4(ip->saddr);
	}
	if (!cursor_take(&at,
			 sizeof(struct udphdr) + sizeof(struct geneve_header)))
		return NULL;
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth)
		return NULL;
	mac_copy(mac, eth->h_dest);
	if (target->protocol == bpf_htons(ETH_P_IP)) {
		ip = cursor_take(&at, sizeof(*ip));
		sender = ip ? endpoint_lookup_v4(target->vni, ip->saddr) : NULL;
	} else {
		ip6 = cursor_take(&at, sizeof(*ip6));
		sender = ip6 ? endpoint_lookup_v6(target->vni, &ip6->saddr)
			     : NULL;
	}
	if (!sender || !address_equals_v6(&sender->vtep, &outer))
		return NULL;
	return sender;
}

/* Copies a packet of another node's pod to the pods of its group here. */
static __noinline int receive_many(struct __sk_buff *skb,
				   const struct tunnel_target *target)
{
	__u8 mac[6] __attribute__((aligned(8))) = { 0 };
	const struct endpoint_value *sender;
	__u32 group;
	int error;

	if (!target)
		return TC_ACT_SHOT;
	sender = many_sender(skb, target, mac);
	if (!sender)
		return drop(target, DROP_MULTICAST_SENDER);
	group = sender->group;
	error = strip_outer(skb, target, mac);
	if (error)
		return drop(target, -error);
	many_to_pods(skb, target->vni, group, 0);
	count(COUNT_MANY_RECEIVED);
	return TC_ACT_SHOT;
}

static __always_inline int answer_control(struct __sk_buff *skb,
					  const struct tunnel_target *target)
{
	int verdict = tunnel_echo_stage(skb);

	switch (verdict) {
	case VERDICT_PASS:
		return TC_ACT_UNSPEC;
	case VERDICT_ANSWER:
		return bpf_redirect(skb->ifindex, 0);
	default:
		return drop(target, -verdict);
	}
}

SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	struct tunnel_target target = { 0 };
	int verdict;

	if (is_stripped(skb, &target)) {
		count(COUNT_XDP_DELIVERED);
		return deliver(skb, target.vni, target.ifindex);
	}
	if (skb->vlan_present)
		return TC_ACT_UNSPEC;
	skb_linearize_front(skb, TUNNEL_FRONT);
	verdict = tunnel_judge(cursor_of_skb(skb), skb->len, &target);
	probe_of_tunnel(cursor_of_skb(skb), PROBE_UPLINK_INGRESS, &target,
			verdict);
	switch (verdict) {
	case VERDICT_PASS:
		path_news(skb);
		return TC_ACT_UNSPEC;
	case VERDICT_CONTROL:
		return answer_control(skb, &target);
	case VERDICT_LOCAL:
		return strip(skb, &target);
	case VERDICT_MANY:
		return receive_many(skb, &target);
	default:
		return drop(&target, -verdict);
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
