#define _GNU_SOURCE
#include "offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
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
