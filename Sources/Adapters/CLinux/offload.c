#define _GNU_SOURCE
#include "offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static const struct {
	__u32 get;
	__u32 set;
} commands[] = {
	[GENIE_OFFLOAD_GRO] = { ETHTOOL_GGRO, ETHTOOL_SGRO },
	[GENIE_OFFLOAD_TX_CHECKSUM] = { ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM },
	[GENIE_OFFLOAD_TSO] = { ETHTOOL_GTSO, ETHTOOL_STSO },
	[GENIE_OFFLOAD_GSO] = { ETHTOOL_GGSO, ETHTOOL_SGSO },
};

static int request(int control, const char *name, void *data)
{
	struct ifreq interface = { .ifr_data = data };

	if (strlen(name) >= sizeof(interface.ifr_name))
		return -ENAMETOOLONG;
	memcpy(interface.ifr_name, name, strlen(name) + 1);
	return ioctl(control, SIOCETHTOOL, &interface) < 0 ? -errno : 0;
}

int genie_offload_get(int control, const char *name, enum genie_offload offload)
{
	struct ethtool_value value = { .cmd = commands[offload].get };
	int status = request(control, name, &value);

	return status < 0 ? status : value.data != 0;
}

int genie_offload_set(int control, const char *name, enum genie_offload offload,
		      bool on)
{
	struct ethtool_value value = {
		.cmd = commands[offload].set,
		.data = on,
	};

	return request(control, name, &value);
}

int genie_driver_name(int control, const char *name,
		      char driver[GENIE_DRIVER_NAME_BYTES])
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int status = request(control, name, &info);

	_Static_assert(sizeof(info.driver) == GENIE_DRIVER_NAME_BYTES,
		       "the kernel fixes the length of a driver's name");
	if (status < 0)
		return status;
	memcpy(driver, info.driver, sizeof(info.driver));
	driver[GENIE_DRIVER_NAME_BYTES - 1] = '\0';
	return 0;
}

static const char *const foreign[] = {
	"tx-gre-segmentation",	   "tx-gre-csum-segmentation",
	"tx-ipxip4-segmentation",  "tx-ipxip6-segmentation",
	"tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation",
	"tx-sctp-segmentation",
};
static const char udp[] = "tx-udp-segmentation";

enum { FEATURE_BLOCKS_MAX = 8 };

static int feature_count(int control, const char *name)
{
	/* The count is behind the question. */
	__u64 words[(sizeof(struct ethtool_sset_info) + sizeof(__u32)) / 8 +
		    1] = { 0 };
	struct ethtool_sset_info *query = (void *)words;
	int status;

	query->cmd = ETHTOOL_GSSET_INFO;
	query->sset_mask = 1ull << ETH_SS_FEATURES;
	status = request(control, name, query);
	if (status < 0)
		return status;
	return query->sset_mask ? (int)query->data[0] : 0;
}

static int is_foreign(const char *feature, bool with_udp)
{
	size_t index;

	if (with_udp && !strncmp(feature, udp, ETH_GSTRING_LEN))
		return 1;
	for (index = 0; index < sizeof(foreign) / sizeof(foreign[0]); index++)
		if (!strncmp(feature, foreign[index], ETH_GSTRING_LEN))
			return 1;
	return 0;
}

int genie_foreign_segmentation_off(int control, const char *name, bool with_udp)
{
	/* What is to change is behind the question. */
	__u32 words[(sizeof(struct ethtool_sfeatures) +
		     FEATURE_BLOCKS_MAX *
			     sizeof(struct ethtool_set_features_block)) /
		    sizeof(__u32)] = { 0 };
	struct ethtool_sfeatures *change = (void *)words;
	int count = feature_count(control, name);
	struct ethtool_gstrings *names;
	int status, index;

	if (count <= 0)
		return count;
	if (count > FEATURE_BLOCKS_MAX * 32)
		return -E2BIG;
	names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = (__u32)count;
	status = request(control, name, names);
	for (index = 0; !status && index < count; index++)
		if (is_foreign((char *)names->data + index * ETH_GSTRING_LEN,
			       with_udp))
			change->features[index / 32].valid |= 1u << index % 32;
	free(names);
	if (status)
		return status;
	change->cmd = ETHTOOL_SFEATURES;
	change->size = (__u32)(count + 31) / 32;
	return request(control, name, change);
}
