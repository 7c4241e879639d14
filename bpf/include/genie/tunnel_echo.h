/* Tunnel echo: is the dataplane of that node alive? Answered without a daemon.
 */
#ifndef GENIE_TUNNEL_ECHO_H
#define GENIE_TUNNEL_ECHO_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <genie/abi.h>
#include <genie/address.h>
#include <genie/cursor.h>
#include <genie/geneve.h>
#include <genie/maps/count.h>
#include <genie/verdict.h>

/* A swap of addresses and of ports changes no checksum. */
static __always_inline void tunnel_echo_swap(struct ethhdr *eth,
					     struct udphdr *udp)
{
	__be16 port = udp->source;
	__u8 mac[6] __attribute__((aligned(8)));

	mac_copy_by_halves(mac, eth->h_source);
	mac_copy_by_halves(eth->h_source, eth->h_dest);
	mac_copy_by_halves(eth->h_dest, mac);
	udp->source = udp->dest;
	udp->dest = port;
}

/* Stamps the answer, whose UDP header is at `udp_at`. The helper knows whether
 * the UDP checksum is absent, final, or still to be completed by the sender's
 * device.
 */
static __always_inline int tunnel_echo_stamp(struct __sk_buff *skb,
					     __u32 udp_at)
{
	__u32 kind_at = udp_at + sizeof(struct udphdr) +
			sizeof(struct geneve_header) +
			__builtin_offsetof(struct tunnel_echo, kind);
	__be32 from = bpf_htonl(TUNNEL_ECHO_REQUEST);
	__be32 to = bpf_htonl(TUNNEL_ECHO_REPLY);

	if (bpf_l4_csum_replace(
		    skb, udp_at + __builtin_offsetof(struct udphdr, check),
		    from, to, BPF_F_MARK_MANGLED_0 | sizeof(to)) ||
	    bpf_skb_store_bytes(skb, kind_at, &to, sizeof(to), 0))
		return -DROP_BAD_OAM;
	count(COUNT_TUNNEL_ECHO);
	return VERDICT_ANSWER;
}

/* What the control packet behind an outer header is; VERDICT_ANSWER for an echo
 * request.
 */
static __always_inline int tunnel_echo_judge(const struct udphdr *udp)
{
	const struct geneve_header *geneve = (const void *)(udp + 1);
	const struct tunnel_echo *echo = (const void *)(geneve + 1);

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
	return echo->kind == bpf_htonl(TUNNEL_ECHO_REQUEST) ? VERDICT_ANSWER
							    : -DROP_BAD_OAM;
}

/* The outer headers of an echo, and what is behind them. */
struct tunnel_echo_v4 {
	__u8 pad0[2]; /* aligns the IP header; not of the frame */
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct tunnel_echo echo;
};

struct tunnel_echo_v6 {
	__u8 pad0[2]; /* aligns the IP header; not of the frame */
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct tunnel_echo echo;
};

static __always_inline int tunnel_echo_over_v4(struct __sk_buff *skb)
{
	struct tunnel_echo_v4 frame;
	__be32 address;
	int verdict;

	if (bpf_skb_load_bytes(skb, 0, &frame.eth,
			       sizeof(frame) - sizeof(frame.pad0)))
		return -DROP_BAD_OAM;
	verdict = tunnel_echo_judge(&frame.udp);
	if (verdict != VERDICT_ANSWER)
		return verdict;
	tunnel_echo_swap(&frame.eth, &frame.udp);
	address = frame.ip.saddr;
	frame.ip.saddr = frame.ip.daddr;
	frame.ip.daddr = address;
	if (bpf_skb_store_bytes(skb, 0, &frame.eth,
				ETH_HLEN + sizeof(frame.ip) + sizeof(frame.udp),
				0))
		return -DROP_BAD_OAM;
	return tunnel_echo_stamp(skb, ETH_HLEN + sizeof(frame.ip));
}

static __always_inline int tunnel_echo_over_v6(struct __sk_buff *skb)
{
	struct tunnel_echo_v6 frame;
	struct in6_addr address;
	int verdict;

	if (bpf_skb_load_bytes(skb, 0, &frame.eth,
			       sizeof(frame) - sizeof(frame.pad0)))
		return -DROP_BAD_OAM;
	verdict = tunnel_echo_judge(&frame.udp);
	if (verdict != VERDICT_ANSWER)
		return verdict;
	tunnel_echo_swap(&frame.eth, &frame.udp);
	address = frame.ip.saddr;
	frame.ip.saddr = frame.ip.daddr;
	frame.ip.daddr = address;
	if (bpf_skb_store_bytes(skb, 0, &frame.eth,
				ETH_HLEN + sizeof(frame.ip) + sizeof(frame.udp),
				0))
		return -DROP_BAD_OAM;
	return tunnel_echo_stamp(skb, ETH_HLEN + sizeof(frame.ip));
}

/* Judges a control packet that tunnel_judge let through: no IP options, no
 * Geneve options, lengths right. Replies are for whoever asked: the stack.
 */
static __noinline int tunnel_echo_stage(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IPV6)
		       ? tunnel_echo_over_v6(skb)
		       : tunnel_echo_over_v4(skb);
}

#endif
