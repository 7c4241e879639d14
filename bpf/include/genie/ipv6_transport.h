/* The way through IPv6 extension headers (RFC 8200 section 4). */
#ifndef GENIE_IPV6_TRANSPORT_H
#define GENIE_IPV6_TRANSPORT_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>

#define IPV6_AUTHENTICATION 51
/* More extension headers than this are nobody's. */
#define IPV6_EXTENSIONS_MAX 6

/* Where an IPv6 packet's last header is. */
struct ipv6_transport {
	__u32 at; /* from the start of the frame */
	__u32 protocol;
	__u32 is_later_fragment;
};

/*
 * Finds the header behind the extension headers of the packet that begins at
 * `at`. Only rare packets need it: forwarding is by address alone.
 *
 * Returns zero when it was found.
 */
static __noinline int ipv6_transport(struct __sk_buff *skb, __u32 at,
				     struct ipv6_transport *to)
{
	__u8 extension[4];
	__u8 protocol;

	if (!to ||
	    bpf_skb_load_bytes(skb,
			       at + __builtin_offsetof(struct ipv6hdr, nexthdr),
			       &protocol, sizeof(protocol)))
		return -1;
	at += sizeof(struct ipv6hdr);
	to->is_later_fragment = 0;
	for (int i = 0; i <= IPV6_EXTENSIONS_MAX; i++) {
		if (protocol != IPPROTO_HOPOPTS &&
		    protocol != IPPROTO_ROUTING &&
		    protocol != IPPROTO_FRAGMENT &&
		    protocol != IPPROTO_DSTOPTS &&
		    protocol != IPV6_AUTHENTICATION) {
			to->at = at;
			to->protocol = protocol;
			return 0;
		}
		if (bpf_skb_load_bytes(skb, at, extension, sizeof(extension)))
			return -1;
		if (protocol == IPPROTO_FRAGMENT) {
			to->is_later_fragment =
				extension[2] || extension[3] & 0xf8;
			at += 8;
			if (to->is_later_fragment) {
				to->at = at;
				to->protocol = extension[0];
				return 0;
			}
		} else if (protocol == IPV6_AUTHENTICATION) {
			at += (extension[1] + 2) * 4;
		} else {
			at += (extension[1] + 1) * 8;
		}
		protocol = extension[0];
	}
	return -1;
}

#endif
