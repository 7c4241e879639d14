/*
 * The largest segment that a pod asks its peer for, lowered where segments of
 * that size would not fit the tunnel (RFC 9293 section 3.7.1). A pod's MTU is
 * right when its interface is made; this is for pods that have raised it, and
 * for uplinks whose MTU was lowered since.
 */
#ifndef GENIE_MSS_H
#define GENIE_MSS_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <genie/cursor.h>

#define TCP_HEADER_SIZE 20
#define TCP_DATA_OFFSET_AT 12
#define TCP_FLAGS_AT 13
#define TCP_CHECK_AT 16
#define TCP_FLAG_SYN 2
#define TCP_OPTIONS_MAX 40
#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2

struct mss_search {
	__u8 options[TCP_OPTIONS_MAX];
	__u32 size;
	__u32 at;
	__u32 value_at; /* zero until found */
};

/* Looks at one option; 1 ends the search. */
static long mss_search_step(__u32 index, void *context)
{
	struct mss_search *search = context;
	__u32 at = search->at;
	__u8 length;

	(void)index;
	if (at > TCP_OPTIONS_MAX - 2 || at + 1 >= search->size)
		return 1;
	if (search->options[at] == TCP_OPTION_NOP) {
		search->at = at + 1;
		return 0;
	}
	length = search->options[at + 1];
	if (search->options[at] == TCP_OPTION_END || length < 2)
		return 1;
	if (search->options[at] == TCP_OPTION_MSS) {
		if (length == 4 && at + 4 <= search->size)
			search->value_at = at + 2;
		return 1;
	}
	search->at = at + length;
	return 0;
}

/* Whether the TCP header at the cursor begins a connection, or answers so. */
static __always_inline int tcp_is_syn(struct cursor at)
{
	const __u8 *tcp = cursor_take(&at, TCP_FLAGS_AT + 1);

	return tcp && tcp[TCP_FLAGS_AT] & TCP_FLAG_SYN;
}

/* Lowers the maximum segment size in the TCP header at `at`, if it has one that
 * is larger. Packet pointers are void afterwards.
 */
static __noinline int mss_clamp(struct __sk_buff *skb, __u32 at, __u32 max)
{
	struct mss_search search = { 0 };
	__u16 from, to;
	__u8 offset;
	__u32 value;

	if (bpf_skb_load_bytes(skb, at + TCP_DATA_OFFSET_AT, &offset, 1))
		return 0;
	search.size = (offset >> 4) * 4;
	if (search.size <= TCP_HEADER_SIZE)
		return 0;
	search.size -= TCP_HEADER_SIZE;
	if (search.size > TCP_OPTIONS_MAX ||
	    bpf_skb_load_bytes(skb, at + TCP_HEADER_SIZE, search.options,
			       search.size))
		return 0;
	bpf_loop(TCP_OPTIONS_MAX, mss_search_step, &search, 0);
	if (!search.value_at || search.value_at > TCP_OPTIONS_MAX - 2)
		return 0;
	value = search.options[search.value_at] << 8 |
		search.options[search.value_at + 1];
	if (value <= max)
		return 0;
	from = bpf_htons(value);
	to = bpf_htons(max);
	if (bpf_skb_store_bytes(skb, at + TCP_HEADER_SIZE + search.value_at,
				&to, sizeof(to), 0))
		return 0;
	/* At an odd place the two bytes count in each other's place. */
	if (search.value_at & 1) {
		from = __builtin_bswap16(from);
		to = __builtin_bswap16(to);
	}
	return bpf_l4_csum_replace(skb, at + TCP_CHECK_AT, from, to,
				   sizeof(to));
}

#endif
