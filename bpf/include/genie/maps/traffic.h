/* gr_traffic_r1: what each pod interface of this node sent and received, per
 * CPU. Rows are made and removed by genied, so that no packet can make one;
 * programs add to them, genied reads.
 */
#ifndef GENIE_MAPS_TRAFFIC_H
#define GENIE_MAPS_TRAFFIC_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct traffic_key);
	__type(value, struct traffic_value);
	__uint(max_entries, GENIE_TRAFFIC_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_traffic_r1 SEC(".maps");

static __always_inline struct traffic_value *traffic_lookup(__u32 vni,
							    __u32 ifindex)
{
	struct traffic_key key = { .vni = vni, .ifindex = ifindex };

	return bpf_map_lookup_elem(&gr_traffic_r1, &key);
}

/* Ethernet, IPv4 and TCP with its usual options: what is in front of the data of
 * most super-packets.
 */
#define TRAFFIC_FRONT 66

/* A super-packet counts as its segments. Whoever adds or takes headers zeroes
 * how many there are; they are what its size says then.
 */
static __always_inline __u32 traffic_packets(const struct __sk_buff *skb)
{
	__u32 size = skb->gso_size;

	if (skb->gso_segs)
		return skb->gso_segs;
	if (!size || skb->len <= TRAFFIC_FRONT + size)
		return 1;
	return (skb->len - TRAFFIC_FRONT + size - 1) / size;
}

/* Counts what the pod behind `ifindex` sent, whatever becomes of it. */
static __always_inline void traffic_sent(const struct __sk_buff *skb, __u32 vni)
{
	struct traffic_value *row = traffic_lookup(vni, skb->ifindex);

	if (!row)
		return;
	row->sent_packets += traffic_packets(skb);
	row->sent_bytes += skb->len;
}

/* Counts what the pod behind `ifindex` is given. */
static __always_inline void traffic_received(const struct __sk_buff *skb,
					     __u32 vni, __u32 ifindex)
{
	struct traffic_value *row = traffic_lookup(vni, ifindex);

	if (!row)
		return;
	row->received_packets += traffic_packets(skb);
	row->received_bytes += skb->len;
}

#endif
