/* ICMP (RFC 792) and ICMPv6 (RFC 4443): the header and the numbers in use. */
#ifndef GENIE_ICMP_H
#define GENIE_ICMP_H

#include <linux/types.h>

/* The front that every message of both families has. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 rest;
};
_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792, RFC 4443");

#define ICMP_TYPE_ECHO_REPLY 0
#define ICMP_TYPE_UNREACHABLE 3
#define ICMP_TYPE_QUENCH 4
#define ICMP_TYPE_REDIRECT 5
#define ICMP_TYPE_ECHO_REQUEST 8
#define ICMP_TYPE_TIME_EXCEEDED 11
#define ICMP_TYPE_PARAMETER 12
#define ICMP_CODE_HOST 1
#define ICMP_CODE_TOO_BIG 4

#define ICMPV6_TYPE_UNREACHABLE 1
#define ICMPV6_TYPE_TOO_BIG 2
#define ICMPV6_TYPE_TIME_EXCEEDED 3
#define ICMPV6_TYPE_ECHO_REQUEST 128
#define ICMPV6_TYPE_ECHO_REPLY 129
#define ICMPV6_CODE_ADDRESS 3

/* Neighbour discovery (RFC 4861): 133 to 137. */
#define ICMPV6_TYPE_ROUTER_SOLICITATION 133
#define ICMPV6_TYPE_SOLICITATION 135
#define ICMPV6_TYPE_ADVERTISEMENT 136
#define ICMPV6_TYPE_REDIRECT 137

/* A message that no error may be sent about (RFC 1122 section 3.2.2). */
static __always_inline int icmp_is_error(__u8 type)
{
	return type == ICMP_TYPE_UNREACHABLE || type == ICMP_TYPE_QUENCH ||
	       type == ICMP_TYPE_REDIRECT || type == ICMP_TYPE_TIME_EXCEEDED ||
	       type == ICMP_TYPE_PARAMETER;
}

/* The same (RFC 4443 section 2.4 e): errors are below 128, and redirects. */
static __always_inline int icmpv6_is_error(__u8 type)
{
	return type < ICMPV6_TYPE_ECHO_REQUEST || type == ICMPV6_TYPE_REDIRECT;
}

#endif
