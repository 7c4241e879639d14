/* Tunnel echo: is the dataplane of that node alive? Answered without a daemon.
 */
#ifndef GENIE_TUNNEL_ECHO_H
#define GENIE_TUNNEL_ECHO_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/cursor.h>
#include <genie/geneve.h>
#include <genie/maps/count.h>
#include <genie/verdict.h>

/* A swap of addresses and of ports changes no checksum. */
static __always_inline void
tunnel_echo_swap(struct ethhdr *eth, struct iphdr *ip, struct udphdr *udp)
{
	__be32 address = ip->saddr;
	__be16 port = udp->source;
	__u8 mac[6] __attribute__((aligned(8)));

	mac_copy(mac, eth->h_source);
	mac_copy(eth->h_source, eth->h_dest);
	mac_copy(eth->h_dest, mac);
	ip->saddr = ip->daddr;
	ip->daddr = address;
	udp->source = udp->dest;
	udp->dest = port;
}

/* Stamps the answer. The helper knows whether the UDP checksum is absent,
 * final, or still to be completed by the sender's device.
 */
static __always_inline int tunnel_echo_stamp(struct __sk_buff *skb)
{
	__u32 check_at =
		TUNNEL_UDP_AT + __builtin_offsetof(struct udphdr, check);
	__u32 kind_at = TUNNEL_PAYLOAD_AT +
			__builtin_offsetof(struct tunnel_echo, kind);
	__be32 from = bpf_htonl(TUNNEL_ECHO_REQUEST);
	__be32 to = bpf_htonl(TUNNEL_ECHO_REPLY);

	if (bpf_l4_csum_replace(skb, check_at, from, to,
				BPF_F_MARK_MANGLED_0 | sizeof(to)) ||
	    bpf_skb_store_bytes(skb, kind_at, &to, sizeof(to), 0))
		return -DROP_BAD_OAM;
	count(COUNT_TUNNEL_ECHO);
	return VERDICT_ANSWER;
}

/* Judges a control packet that tunnel_judge let through: no IPv4 options, no
 * Geneve options, lengths right. Replies are for whoever asked: the stack.
 */
static __noinline int tunnel_echo_stage(struct __sk_buff *skb)
{
	struct cursor at = cursor_of_skb(skb);
	struct geneve_header *geneve;
	struct tunnel_echo *echo;
	struct ethhdr *eth;
	struct udphdr *udp;
	struct iphdr *ip;

	eth = cursor_take(&at, sizeof(*eth));
	ip = cursor_take(&at, sizeof(*ip));
	udp = cursor_take(&at, sizeof(*udp));
	geneve = cursor_take(&at, sizeof(*geneve));
	echo = cursor_take(&at, sizeof(*echo));
	if (!eth || !ip || !udp || !geneve || !echo)
		return -DROP_BAD_OAM;
	if (bpf_ntohs(udp->len) !=
	    sizeof(*udp) + sizeof(*geneve) + sizeof(*echo))
		return -DROP_BAD_OAM;
	if (geneve->protocol != bpf_htons(GENIE_ECHO_PROTOCOL) ||
	    bpf_ntohl(geneve->vni_and_reserved) >> 8)
		return -DROP_BAD_OAM;
	if (echo->kind == bpf_htonl(TUNNEL_ECHO_REPLY)) {
		count(COUNT_TUNNEL_ECHO_PASSED);
		return VERDICT_PASS;
	}
	if (echo->kind != bpf_htonl(TUNNEL_ECHO_REQUEST))
		return -DROP_BAD_OAM;
	tunnel_echo_swap(eth, ip, udp);
	return tunnel_echo_stamp(skb);
}

#endif
