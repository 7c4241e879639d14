/* A pod's packet on its way to an endpoint, here or on another node. */
#ifndef GENIE_ROUTE_H
#define GENIE_ROUTE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/csum.h>
#include <genie/cursor.h>
#include <genie/encap.h>
#include <genie/ipv4.h>
#include <genie/ipv6.h>
#include <genie/ipv6_transport.h>
#include <genie/maps/endpoint.h>
#include <genie/maps/node.h>
#include <genie/maps/path.h>
#include <genie/mss.h>
#include <genie/open.h>
#include <genie/verdict.h>

/* What the stages leave for the entry function. */
struct pod_route {
	__u32 ifindex; /* where to: the pod's veth */
	__u32 mtu;     /* of the path, where the packet is too big for it */
	__u32 group;   /* the sender's, where it goes to the whole group */
	__be32 vtep;   /* of the node where to; zero where it is of IPv6 */
	__u8 tos;      /* of the outer header */
};

/* The bytes of headers and data of a segment that `skb`'s transport, which
 * begins `front` bytes into its IP packet, is cut into.
 */
static __always_inline __u32 segment_size(struct __sk_buff *skb, __u32 front,
					  __u32 protocol)
{
	__u8 offset;

	if (protocol != IPPROTO_TCP)
		return front + sizeof(struct udphdr) + skb->gso_size;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + front + TCP_DATA_OFFSET_AT,
			       &offset, sizeof(offset)))
		return ~0u;
	return front + (offset >> 4) * 4 + skb->gso_size;
}

/* The largest IPv4 packet that `skb` becomes on the wire. */
static __always_inline __u32 wire_size_v4(struct __sk_buff *skb,
					  const struct iphdr *ip)
{
	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	return segment_size(skb, ip->ihl * 4, ip->protocol);
}

/* The largest IPv6 packet that `skb` becomes on the wire. */
static __always_inline __u32 wire_size_v6(struct __sk_buff *skb)
{
	struct ipv6_transport transport;

	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	if (ipv6_transport(skb, ETH_HLEN, &transport))
		return ~0u;
	return segment_size(skb, transport.at - ETH_HLEN, transport.protocol);
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

/* To nobody in the VPC: to the node's stack where the VPC is open to it, which
 * counts the hop itself. `behind` stands behind the IP header: tunnel packets
 * stay here, since the node's address, which they would leave under, is one
 * that other nodes believe.
 */
static __always_inline int route_node(struct __sk_buff *skb, struct ethhdr *eth,
				      __u8 protocol, struct cursor behind,
				      const struct port_value *port,
				      struct pod_route *route)
{
	const struct node_value *node = open_way(skb->ifindex, port->vni);
	const struct udphdr *udp = cursor_take(&behind, sizeof(*udp));

	if (!node)
		return -DROP_NO_ENDPOINT;
	if (protocol == IPPROTO_UDP && udp &&
	    udp->dest == bpf_htons(GENIE_GENEVE_PORT))
		return -DROP_NO_ENDPOINT;
	mac_copy(eth->h_dest, node->open_mac);
	mac_copy(eth->h_source, port->gateway_mac);
	route->ifindex = node->open_ifindex;
	return VERDICT_NODE;
}

/* The same of IPv6, behind whatever extension headers. The fragments of a tunnel
 * packet may be put together behind us, so the first one has to say what it is.
 */
static __always_inline int route_node_v6(struct __sk_buff *skb,
					 struct ethhdr *eth,
					 const struct port_value *port,
					 struct pod_route *route)
{
	const struct node_value *node = open_way(skb->ifindex, port->vni);
	struct ipv6_transport transport;
	__be16 target;

	if (!node || ipv6_transport(skb, ETH_HLEN, &transport))
		return -DROP_NO_ENDPOINT;
	if (transport.protocol == IPPROTO_UDP && !transport.is_later_fragment &&
	    (bpf_skb_load_bytes(skb,
				transport.at +
					__builtin_offsetof(struct udphdr, dest),
				&target, sizeof(target)) ||
	     target == bpf_htons(GENIE_GENEVE_PORT)))
		return -DROP_NO_ENDPOINT;
	mac_copy(eth->h_dest, node->open_mac);
	mac_copy(eth->h_source, port->gateway_mac);
	route->ifindex = node->open_ifindex;
	return VERDICT_NODE;
}

/* Whether a packet of `size` bytes can go to the endpoint's node; if so, fills
 * in where from and where to.
 */
static __always_inline int route_check(const struct endpoint_value *endpoint,
				       __u32 size, struct encap_plan *plan,
				       struct pod_route *route)
{
	const struct node_value *node = node_lookup();

	if (!node || !node->uplink_ifindex)
		return -DROP_NOT_CONFIGURED;
	if (address_is_v4(&endpoint->vtep) != address_is_v4(&node->vtep))
		return -DROP_VTEP_FAMILY;
	plan->mtu = path_mtu(&endpoint->vtep, node->pod_mtu);
	route->mtu = plan->mtu;
	if (size > plan->mtu)
		return -DROP_TOO_BIG;
	plan->source = &node->vtep;
	plan->target = &endpoint->vtep;
	route->vtep = address_is_v4(plan->target) ? plan->target->words[3] : 0;
	return 0;
}

static __always_inline int route_encap(struct __sk_buff *skb,
				       const struct encap_plan *plan)
{
	int error = address_is_v4(plan->target) ? encap_v4(skb, plan)
						: encap_v6(skb, plan);

	return error ? error : VERDICT_REMOTE;
}

/* Routes an IPv4 packet to an endpoint; `behind` stands behind its options. */
static __always_inline int route_v4(struct __sk_buff *skb, struct ethhdr *eth,
				    struct cursor behind,
				    const struct port_value *port,
				    struct pod_route *route)
{
	struct iphdr *ip = (void *)(eth + 1);
	const struct endpoint_value *endpoint;
	struct encap_plan plan;
	int error;

	endpoint = endpoint_lookup_v4(port->vni, ip->daddr);
	if (!endpoint)
		return ipv4_is_routed(ip->daddr)
			       ? route_node(skb, eth, ipv4_first_protocol(ip),
					    behind, port, route)
			       : -DROP_NO_ENDPOINT;
	if (ip->ttl <= 1)
		return -DROP_TTL_EXPIRED;
	if (endpoint_is_local(endpoint)) {
		ipv4_set_ttl(ip, ip->ttl - 1);
		return route_local(eth, port, endpoint, route);
	}
	error = route_check(endpoint, wire_size_v4(skb, ip), &plan, route);
	if (error)
		return error;
	ipv4_set_ttl(ip, ip->ttl - 1);
	plan.vni = port->vni;
	plan.mac = endpoint->mac;
	plan.gateway_mac = port->gateway_mac;
	plan.tos = ip->tos;
	plan.protocol = bpf_htons(ETH_P_IP);
	plan.flow_hash = ipv4_flow_hash(ip, behind);
	if (ip->protocol == IPPROTO_TCP && !ipv4_is_fragment(ip) &&
	    tcp_is_syn(behind))
		mss_clamp(skb, ETH_HLEN + ip->ihl * 4, plan.mtu - 40);
	route->tos = plan.tos & ~ECN_MASK;
	return route_encap(skb, &plan);
}

/* Routes an IPv6 packet to an endpoint; `behind` stands behind its header. */
static __always_inline int route_v6(struct __sk_buff *skb, struct ethhdr *eth,
				    struct cursor behind,
				    const struct port_value *port,
				    struct pod_route *route)
{
	struct ipv6hdr *ip = (void *)(eth + 1);
	const struct endpoint_value *endpoint;
	struct encap_plan plan;
	int error;

	endpoint = endpoint_lookup_v6(port->vni, &ip->daddr);
	if (!endpoint)
		return ipv6_is_routed(&ip->daddr)
			       ? route_node_v6(skb, eth, port, route)
			       : -DROP_NO_ENDPOINT;
	if (ip->hop_limit <= 1)
		return -DROP_TTL_EXPIRED;
	if (endpoint_is_local(endpoint)) {
		ip->hop_limit--;
		return route_local(eth, port, endpoint, route);
	}
	error = route_check(endpoint, wire_size_v6(skb), &plan, route);
	if (error)
		return error;
	ip->hop_limit--;
	plan.vni = port->vni;
	plan.mac = endpoint->mac;
	plan.gateway_mac = port->gateway_mac;
	plan.tos = ipv6_class(ip);
	plan.protocol = bpf_htons(ETH_P_IPV6);
	plan.flow_hash = ipv6_flow_hash(ip, behind);
	/* Behind extension headers it stays as it is. */
	if (ip->nexthdr == IPPROTO_TCP && tcp_is_syn(behind))
		mss_clamp(skb, ETH_HLEN + sizeof(*ip), plan.mtu - 60);
	route->tos = plan.tos;
	return route_encap(skb, &plan);
}

#endif
