/* tc ingress of a pod's host-side veth: everything a pod sends.
 *
 * Nothing falls through to the node's stack: a packet is answered, redirected
 * or dropped for a reason.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/arp.h>
#include <genie/cursor.h>
#include <genie/deliver.h>
#include <genie/gateway_echo.h>
#include <genie/icmp_error.h>
#include <genie/ipv4.h>
#include <genie/ipv6.h>
#include <genie/leave.h>
#include <genie/many.h>
#include <genie/maps/drop.h>
#include <genie/maps/node.h>
#include <genie/maps/port.h>
#include <genie/maps/traffic.h>
#include <genie/nd.h>
#include <genie/open.h>
#include <genie/probe.h>
#include <genie/route.h>
#include <genie/verdict.h>

/* Ethernet, the longest IPv4 header, a TCP header without options. */
#define POD_FRONT (ETH_HLEN + 60 + 20)

/* A packet of no port counts under no pod: any veth could be its number. */
static __always_inline int drop(struct __sk_buff *skb, __u32 vni, int reason)
{
	drop_count(vni, vni ? skb->ifindex : 0, reason);
	return TC_ACT_SHOT;
}

/* Judges a packet to the whole group of the sender, whose row is `own`. */
static __always_inline int many_judge(struct __sk_buff *skb,
				      const struct port_value *port,
				      const struct endpoint_value *own,
				      struct pod_route *route)
{
	const struct node_value *node = node_lookup();

	/* The node's own discovery is not the pods'. */
	if (!own || !node || node->open_ifindex == skb->ifindex ||
	    !many_lookup(port->vni, own->group, 0))
		return -DROP_MULTICAST;
	/* No path carries more than the uplink does, and none is asked. */
	route->mtu = node->pod_mtu;
	if (skb->gso_size || skb->len - ETH_HLEN > node->pod_mtu)
		return -DROP_TOO_BIG;
	if (!many_allow(skb->ifindex))
		return -DROP_MULTICAST_LIMITED;
	route->group = own->group;
	return VERDICT_MANY;
}

static __always_inline int many_judge_v4(struct __sk_buff *skb,
					 const struct iphdr *ip,
					 const struct port_value *port,
					 struct pod_route *route)
{
	if (ip->protocol == IPPROTO_IGMP)
		return -DROP_MULTICAST_REPORT;
	if (!ipv4_is_sane(ip, skb->len - ETH_HLEN))
		return -DROP_BAD_IPV4;
	if (!ipv4_is_many(ip->daddr))
		return -DROP_MULTICAST;
	if (!address_equals_v4(&port->address4, ip->saddr))
		return -DROP_SPOOFED_ADDRESS;
	return many_judge(skb, port, endpoint_lookup_v4(port->vni, ip->saddr),
			  route);
}

static __always_inline int many_judge_v6(struct __sk_buff *skb,
					 const struct ipv6hdr *ip,
					 const struct port_value *port,
					 struct pod_route *route)
{
	/* Listener reports carry a router alert, and nothing else does. */
	if (ip->nexthdr == IPPROTO_HOPOPTS)
		return -DROP_MULTICAST_REPORT;
	if (!ipv6_is_many(&ip->daddr))
		return -DROP_MULTICAST;
	if (!address_equals_v6(&port->address6, &ip->saddr))
		return -DROP_SPOOFED_ADDRESS;
	return many_judge(skb, port, endpoint_lookup_v6(port->vni, &ip->saddr),
			  route);
}

/* Routes one IPv4 packet from a pod whose source MAC is right. */
static __noinline int ipv4_stage(struct __sk_buff *skb,
				 const struct port_value *port,
				 struct pod_route *route)
{
	struct cursor at = cursor_of_skb(skb);
	struct ethhdr *eth;
	struct iphdr *ip;

	if (!port || !route)
		return -DROP_NO_PORT;
	/* Checked one by one: the verifier takes them for independent else. */
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth)
		return -DROP_TRUNCATED;
	ip = cursor_take(&at, sizeof(*ip));
	if (!ip)
		return -DROP_TRUNCATED;
	if (mac_is_group(eth->h_dest))
		return many_judge_v4(skb, ip, port, route);
	if (!mac_equals(eth->h_dest, port->gateway_mac))
		return -DROP_NOT_TO_GATEWAY;
	if (!ipv4_is_sane(ip, skb->len - ETH_HLEN) ||
	    !ipv4_skip_options(&at, ip))
		return -DROP_BAD_IPV4;
	if (!address_equals_v4(&port->address4, ip->saddr) &&
	    !open_may_forward_v4(skb->ifindex, port->vni, ip->saddr))
		return -DROP_SPOOFED_ADDRESS;
	if (address_equals_v4(&port->gateway4, ip->daddr))
		return gateway_echo_v4(eth, ip, at, port);
	return route_v4(skb, eth, at, port, route);
}

/* The type of a message of neighbour discovery, which is never passed on; zero
 * for any other packet.
 */
static __always_inline __u8 ipv6_nd_type(const struct ipv6hdr *ip,
					 struct cursor behind)
{
	const __u8 *type;

	if (ip->nexthdr != IPPROTO_ICMPV6)
		return 0;
	type = cursor_take(&behind, sizeof(*type));
	return type && nd_is_message(*type) ? *type : 0;
}

/* Routes one IPv6 packet from a pod whose source MAC is right. */
static __noinline int ipv6_stage(struct __sk_buff *skb,
				 const struct port_value *port,
				 struct pod_route *route)
{
	struct cursor at = cursor_of_skb(skb);
	struct ipv6hdr *ip;
	struct ethhdr *eth;
	__u8 nd_type;

	if (!port || !route)
		return -DROP_NO_PORT;
	if (address_is_zero(&port->address6))
		return -DROP_IPV6;
	/* Checked one by one: the verifier takes them for independent else. */
	eth = cursor_take(&at, sizeof(*eth));
	if (!eth)
		return -DROP_TRUNCATED;
	ip = cursor_take(&at, sizeof(*ip));
	if (!ip)
		return -DROP_TRUNCATED;
	if (!ipv6_is_sane(ip, skb->len - ETH_HLEN))
		return -DROP_BAD_IPV6;
	nd_type = ipv6_nd_type(ip, at);
	if (nd_type)
		return nd_stage(skb, nd_type, port);
	if (mac_is_group(eth->h_dest))
		return many_judge_v6(skb, ip, port, route);
	if (ipv6_is_multicast(&ip->daddr))
		return -DROP_MULTICAST;
	if (!mac_equals(eth->h_dest, port->gateway_mac))
		return -DROP_NOT_TO_GATEWAY;
	if (!address_equals_v6(&port->address6, &ip->saddr) &&
	    !open_may_forward_v6(skb->ifindex, port->vni, &ip->saddr))
		return -DROP_SPOOFED_ADDRESS;
	if (address_equals_v6(&port->gateway6, &ip->daddr))
		return gateway_echo_v6(eth, ip, at, port);
	return route_v6(skb, eth, at, port, route);
}

/* Checks the frame's sender and hands on by EtherType. */
static __always_inline int pod_frame(struct __sk_buff *skb,
				     const struct port_value *port,
				     struct pod_route *route)
{
	struct cursor at = cursor_of_skb(skb);
	const struct ethhdr *eth = cursor_take(&at, sizeof(*eth));

	if (!eth)
		return -DROP_TRUNCATED;
	if (!mac_equals(eth->h_source, port->mac))
		return -DROP_SPOOFED_MAC;
	/* The stack has taken a first tag out of the frame already. */
	if (skb->vlan_present)
		return -DROP_VLAN;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return ipv4_stage(skb, port, route);
	case bpf_htons(ETH_P_ARP):
		return arp_stage(skb, port);
	case bpf_htons(ETH_P_IPV6):
		return ipv6_stage(skb, port, route);
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return -DROP_VLAN;
	default:
		return -DROP_ETHERTYPE;
	}
}

/* Copies a packet that was judged to go to the whole group. */
static __noinline int many_copy(struct __sk_buff *skb,
				const struct port_value *port, __u32 group)
{
	const struct node_value *node = node_lookup();
	__u8 mac[6] __attribute__((aligned(8)));
	struct cursor at = cursor_of_skb(skb);
	struct encap_plan plan = { 0 };
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;
	struct ethhdr *eth;
	__u32 nodes;

	eth = cursor_take(&at, sizeof(*eth));
	if (!eth || !port || !node)
		return -DROP_NOT_CONFIGURED;
	mac_copy(mac, eth->h_dest);
	mac_copy(eth->h_source, port->gateway_mac);
	plan.protocol = eth->h_proto;
	if (plan.protocol == bpf_htons(ETH_P_IP)) {
		ip = cursor_take(&at, sizeof(*ip));
		if (!ip)
			return -DROP_TRUNCATED;
		plan.tos = ip->tos;
	} else {
		ip6 = cursor_take(&at, sizeof(*ip6));
		if (!ip6)
			return -DROP_TRUNCATED;
		plan.tos = ipv6_class(ip6);
	}
	nodes = many_to_pods(skb, port->vni, group, skb->ifindex);
	if (!nodes)
		return 0;
	if (!node->uplink_ifindex)
		return -DROP_NOT_CONFIGURED;
	plan.source = &node->vtep;
	plan.target = &node->vtep;
	plan.vni = port->vni;
	plan.flow_hash = bpf_get_hash_recalc(skb);
	plan.mac = mac;
	plan.gateway_mac = port->gateway_mac;
	return many_to_nodes(skb, group, &plan);
}

/* Sends a copy that is encapsulated by now. */
static __always_inline int many_leave(struct __sk_buff *skb, __u32 vni)
{
	const struct node_value *node = node_lookup();
	int verdict;

	if (!node)
		return TC_ACT_SHOT;
	skb->mark = 0;
	skb->tc_index = 0;
	verdict = leave(skb, node, 0, 0);
	return verdict < 0 ? drop(skb, vni, -verdict) : verdict;
}

SEC("tc")
int pod_egress(struct __sk_buff *skb)
{
	const struct port_value *port = port_lookup(skb->ifindex);
	const struct node_value *node;
	struct pod_route route = { 0 };
	__u32 probe;
	int verdict;

	if (!port)
		return drop(skb, 0, DROP_NO_PORT);
	if (many_is_marked(skb) && !open_is_node(skb->ifindex))
		return many_leave(skb, port->vni);
	traffic_sent(skb, port->vni);
	skb_linearize_front(skb, POD_FRONT);
	probe = probe_of_pod(skb, port->vni);
	verdict = pod_frame(skb, port, &route);
	if (probe)
		probe_note(probe, PROBE_POD_EGRESS, port->vni, skb->ifindex,
			   verdict);
	switch (verdict) {
	case VERDICT_ANSWER:
		return bpf_redirect(skb->ifindex, 0);
	case VERDICT_LOCAL:
		count(COUNT_POD_LOCAL);
		return deliver(skb, port->vni, route.ifindex);
	case VERDICT_NODE:
		count(COUNT_POD_NODE);
		return deliver(skb, port->vni, route.ifindex);
	case VERDICT_MANY:
		verdict = many_copy(skb, port, route.group);
		if (verdict)
			return drop(skb, port->vni, -verdict);
		count(COUNT_MANY_SENT);
		return TC_ACT_SHOT;
	case VERDICT_REMOTE:
		node = node_lookup();
		if (!node)
			return drop(skb, port->vni, DROP_NOT_CONFIGURED);
		if (probe)
			probe_mark_tunnel(skb);
		verdict = leave(skb, node, route.vtep, route.tos);
		if (verdict < 0)
			return drop(skb, port->vni, -verdict);
		count(COUNT_POD_REMOTE);
		return verdict;
	default:
		drop_count(port->vni, skb->ifindex, -verdict);
		if (!icmp_error(skb, port, -verdict, route.mtu))
			return TC_ACT_SHOT;
		count(COUNT_ICMP_ERROR);
		return bpf_redirect(skb->ifindex, 0);
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
