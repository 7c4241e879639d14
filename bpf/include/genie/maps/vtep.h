/* gr_vtep_r1: the nodes whose tunnel packets are believed. Written by genied,
 * read by the uplink programs.
 */
#ifndef GENIE_MAPS_VTEP_H
#define GENIE_MAPS_VTEP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct vtep_key);
	__type(value, struct vtep_value);
	__uint(max_entries, GENIE_VTEP_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_vtep_r1 SEC(".maps");

static __always_inline const struct vtep_value *vtep_lookup_v4(__be32 address)
{
	struct vtep_key key = { .address = address_from_v4(address) };

	return bpf_map_lookup_elem(&gr_vtep_r1, &key);
}

/* `address` is an IPv6 address in a packet. */
static __always_inline const struct vtep_value *
vtep_lookup_v6(const void *address)
{
	struct vtep_key key = { .address = address_from_v6(address) };

	if (address_is_v4(&key.address))
		return NULL;
	return bpf_map_lookup_elem(&gr_vtep_r1, &key);
}

#endif
