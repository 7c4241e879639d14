/* ARP from a pod, answered in place (RFC 826, RFC 5227). */
#ifndef GENIE_ARP_H
#define GENIE_ARP_H

#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/cursor.h>
#include <genie/maps/count.h>
#include <genie/maps/endpoint.h>
#include <genie/verdict.h>

struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_size;
	__u8 protocol_size;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender_address;
	__u8 target_mac[6];
	__be32 target_address;
} __attribute__((packed));
_Static_assert(sizeof(struct arp_ipv4) == 28, "RFC 826");

#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

static __always_inline int arp_is_ethernet_ipv4(const struct arp_ipv4 *it)
{
	return it->hardware == bpf_htons(ARP_HARDWARE_ETHERNET) &&
	       it->protocol == bpf_htons(ETH_P_IP) && it->hardware_size == 6 &&
	       it->protocol_size == 4;
}

/* Whether anyone but the asking pod answers for `target`. */
static __always_inline int arp_check_target(const struct port_value *port,
					    __be32 target)
{
	/* A probe for, or an announcement of, what is its own already. */
	if (address_equals_v4(&port->address4, target))
		return -DROP_ARP_OWN_ADDRESS;
	if (address_equals_v4(&port->gateway4, target) ||
	    endpoint_lookup_v4(port->vni, target))
		return 0;
	return -DROP_ARP_NO_TARGET;
}

/* Turns a request into the reply. The pod learns the gateway's MAC for every
 * address: whatever it sends is routed.
 */
static __always_inline void arp_answer(struct ethhdr *eth, struct arp_ipv4 *arp,
				       const struct port_value *port)
{
	__be32 asked = arp->target_address;

	mac_copy(eth->h_dest, port->mac);
	mac_copy(eth->h_source, port->gateway_mac);
	arp->operation = bpf_htons(ARP_REPLY);
	mac_copy(arp->target_mac, port->mac);
	arp->target_address = arp->sender_address;
	mac_copy(arp->sender_mac, port->gateway_mac);
	arp->sender_address = asked;
}

/* Answers a request for the gateway or a known endpoint of the same VPC. */
static __noinline int arp_stage(struct __sk_buff *skb,
				const struct port_value *port)
{
	struct cursor at = cursor_of_skb(skb);
	struct arp_ipv4 *arp;
	struct ethhdr *eth;
	int error;

	if (!port)
		return -DROP_NO_PORT;
	eth = cursor_take(&at, sizeof(*eth));
	arp = cursor_take(&at, sizeof(*arp));
	if (!eth || !arp)
		return -DROP_TRUNCATED;
	if (!arp_is_ethernet_ipv4(arp))
		return -DROP_ARP_MALFORMED;
	if (!mac_equals(arp->sender_mac, port->mac))
		return -DROP_ARP_SPOOFED;
	/* Zero is the sender of a probe (RFC 5227 section 2.1.1). */
	if (arp->sender_address &&
	    !address_equals_v4(&port->address4, arp->sender_address))
		return -DROP_ARP_SPOOFED;
	if (arp->operation != bpf_htons(ARP_REQUEST))
		return -DROP_ARP_NOT_REQUEST;
	error = arp_check_target(port, arp->target_address);
	if (error)
		return error;
	arp_answer(eth, arp, port);
	count(COUNT_ARP_REPLY);
	return VERDICT_ANSWER;
}

#endif
