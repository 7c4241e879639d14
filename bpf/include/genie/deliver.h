/* The last step into a pod of this node, from tc ingress only. */
#ifndef GENIE_DELIVER_H
#define GENIE_DELIVER_H

#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <genie/maps/traffic.h>
#include <genie/open.h>

/* The same of a packet that the kernel takes for one of the other family: by the
 * veth itself, whose other end looks at the frame.
 */
static __always_inline int deliver_anew(struct __sk_buff *skb, __u32 vni,
					__u32 ifindex)
{
	traffic_received(skb, vni, ifindex);
	return bpf_redirect(ifindex, 0);
}

/* Kernels before 6.16 keep the packet type across the redirect, and the pod's
 * stack would drop what was not addressed to the device it came in by.
 */
static __always_inline int deliver(struct __sk_buff *skb, __u32 vni,
				   __u32 ifindex)
{
	traffic_received(skb, vni, ifindex);
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	/* The short way leads into other namespaces only. */
	if (open_is_node(ifindex))
		return bpf_redirect(ifindex, 0);
	return bpf_redirect_peer(ifindex, 0);
}

#endif
