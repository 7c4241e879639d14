/* The only bounds check on packet bytes. */
#ifndef GENIE_CURSOR_H
#define GENIE_CURSOR_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct cursor {
	void *at;
	void *end;
};

/* The next `size` bytes, or NULL when the linear part ends before them. */
static __always_inline void *cursor_take(struct cursor *it, __u32 size)
{
	void *taken = it->at;

	if (taken + size > it->end)
		return NULL;
	it->at = taken + size;
	return taken;
}

static __always_inline struct cursor cursor_of(void *data, void *data_end)
{
	return (struct cursor){ .at = data, .end = data_end };
}

static __always_inline struct cursor cursor_of_skb(struct __sk_buff *skb)
{
	return cursor_of((void *)(long)skb->data, (void *)(long)skb->data_end);
}

/* Makes the first `size` bytes, or all there are, readable in place. */
static __always_inline void skb_linearize_front(struct __sk_buff *skb,
						__u32 size)
{
	if ((void *)(long)skb->data + size <= (void *)(long)skb->data_end)
		return;
	bpf_skb_pull_data(skb, size < skb->len ? size : skb->len);
}

#endif
