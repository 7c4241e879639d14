/* gr_endpoint_r2: every endpoint that pods of this node may reach, by VPC and
 * address. Written by genied, read by every program.
 */
#ifndef GENIE_MAPS_ENDPOINT_H
#define GENIE_MAPS_ENDPOINT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <genie/abi.h>
#include <genie/address.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint_value);
	__uint(max_entries, GENIE_ENDPOINT_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gr_endpoint_r2 SEC(".maps");

/* The only ways to make a key, so that none leaves out the VNI. */
static __always_inline struct endpoint_key endpoint_key_v4(__u32 vni,
							   __be32 address)
{
	return (struct endpoint_key){ .vni = vni,
				      .address = address_from_v4(address) };
}

static __always_inline struct endpoint_key endpoint_key_v6(__u32 vni,
							   const void *address)
{
	return (struct endpoint_key){ .vni = vni,
				      .address = address_from_v6(address) };
}

static __always_inline const struct endpoint_value *
endpoint_lookup_v4(__u32 vni, __be32 address)
{
	struct endpoint_key key = endpoint_key_v4(vni, address);

	return bpf_map_lookup_elem(&gr_endpoint_r2, &key);
}

/* `address` is an IPv6 address in a packet. A mapped one is no address there
 * and must not lead to the row of an IPv4 endpoint.
 */
static __always_inline const struct endpoint_value *
endpoint_lookup_v6(__u32 vni, const void *address)
{
	struct endpoint_key key = endpoint_key_v6(vni, address);

	if (address_is_v4(&key.address))
		return NULL;
	return bpf_map_lookup_elem(&gr_endpoint_r2, &key);
}

static __always_inline int endpoint_is_local(const struct endpoint_value *it)
{
	return address_is_zero(&it->vtep);
}

#endif
