/* tc ingress of a pod's host-side veth: everything a pod sends.
 *
 * Nothing falls through to the node's stack: a packet is answered, redirected
 * or dropped for a reason.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/arp.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/deliver.h>
#include <genie/encap.h>
#include <genie/gateway_echo.h>
#include <genie/ipv4.h>
#include <genie/maps/drop.h>
#include <genie/maps/endpoint.h>
#include <genie/maps/node.h>
#include <genie/maps/port.h>
#include <genie/maps/traffic.h>
#include <genie/probe.h>
#include <genie/verdict.h>

/* Ethernet, the longest IPv4 header, a TCP header without options. */
#define POD_FRONT (ETH_HLEN + 60 + 20)
#define TCP_DATA_OFFSET_AT 12

/* What the stages leave for the entry function. */
struct pod_route {
	__u32 ifindex; /* where to: the pod's veth, or the uplink */
};

/* A packet of no port counts under no pod: any veth could be its number. */
static __always_inline int drop(struct __sk_buff *skb, __u32 vni, int reason)
{
	drop_count(vni, vni ? skb->ifindex : 0, reason);
	return TC_ACT_SHOT;
}

/* The largest IPv4 packet that `skb` becomes on the wire. */
static __always_inline __u32 wire_size(struct __sk_buff *skb,
				       const struct iphdr *ip,
				       struct cursor behind)
{
	__u32 header = ip->ihl * 4;
	const __u8 *tcp;

	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	if (ip->protocol != IPPROTO_TCP)
		return header + sizeof(struct udphdr) + skb->gso_size;
	tcp = cursor_take(&behind, 20);
	if (!tcp)
		return ~0u;
	return header + (tcp[TCP_DATA_OFFSET_AT] >> 4) * 4 + skb->gso_size;
}

/* To an endpoint on this node: a new Ethernet header is all it takes. */
static __always_inline int route_local(struct ethhdr *eth,
				       const struct port_value *port,
				       const struct endpoint_value *endpoint,
				       struct pod_route *route)
{
	mac_copy(eth->h_dest, endpoint->mac);
	mac_copy(eth->h_source, port->gateway_mac);
	route->ifindex = endpoint->ifindex;
	return VERDICT_LOCAL;
}

/* To an endpoint on another node. */
static __always_inline int route_remote(struct __sk_buff *skb,
					const struct iphdr *ip,
					struct cursor behind,
					const struct port_value *port,
					const struct endpoint_value *endpoint)
{
	const struct node_value *node = node_lookup();
	struct encap_plan plan = {
		.vni = port->vni,
		.mac = endpoint->mac,
		.gateway_mac = port->gateway_mac,
		.tos = ip->tos,
		.target = endpoint->vtep.words[3],
	};

	if (!node || !node->uplink_ifindex || !address_is_v4(&node->vtep))
		return -DROP_NOT_CONFIGURED;
	if (!address_is_v4(&endpoint->vtep))
		return -DROP_VTEP_FAMILY;
	if (wire_size(skb, ip, behind) > node->pod_mtu)
		return -DROP_TOO_BIG;
	plan.source = node->vtep.words[3];
	plan.flow_hash = ipv4_flow_hash(ip, behind);
	return encap(skb, &plan) ?: VERDICT_REMOTE;
}

/* Routes one IPv4 packet from a pod whose source MAC is right. */
static __noinline int ipv4_stage(struct __sk_buff *skb,
				 const struct port_value *port,
				 struct pod_route *route)
{
	struct cursor at = cursor_of_skb(skb);
	const struct endpoint_value *endpoint;
	struct ethhdr *eth;
	struct iphdr *ip;

	if (!port || !route)
		return -DROP_NO_PORT;
	eth = cursor_take(&at, sizeof(*eth));
	ip = cursor_take(&at, sizeof(*ip));
	if (!eth || !ip)
		return -DROP_TRUNCATED;
	if (mac_is_group(eth->h_dest))
		return -DROP_MULTICAST;
	if (!mac_equals(eth->h_dest, port->gateway_mac))
		return -DROP_NOT_TO_GATEWAY;
	if (!ipv4_is_sane(ip, skb->len - ETH_HLEN) ||
	    !ipv4_skip_options(&at, ip))
		return -DROP_BAD_IPV4;
	if (!address_equals_v4(&port->address, ip->saddr))
		return -DROP_SPOOFED_ADDRESS;
	if (address_equals_v4(&port->gateway, ip->daddr))
		return gateway_echo(eth, ip, at, port);

	endpoint = endpoint_lookup_v4(port->vni, ip->daddr);
	if (!endpoint)
		return -DROP_NO_ENDPOINT;
	if (ip->ttl <= 1)
		return -DROP_TTL_EXPIRED;
	ipv4_set_ttl(ip, ip->ttl - 1);
	if (endpoint_is_local(endpoint))
		return route_local(eth, port, endpoint, route);
	return route_remote(skb, ip, at, port, endpoint);
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
		return -DROP_IPV6;
	case bpf_htons(ETH_P_8021Q):
	case bpf_htons(ETH_P_8021AD):
		return -DROP_VLAN;
	default:
		return -DROP_ETHERTYPE;
	}
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
	case VERDICT_REMOTE:
		node = node_lookup();
		if (!node)
			return drop(skb, port->vni, DROP_NOT_CONFIGURED);
		count(COUNT_POD_REMOTE);
		if (probe)
			probe_mark_tunnel(skb);
		return bpf_redirect_neigh(node->uplink_ifindex, NULL, 0, 0);
	default:
		return drop(skb, port->vni, -verdict);
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
