#ifndef GENIE_OFFLOAD_H
#define GENIE_OFFLOAD_H

#include <stdbool.h>

/* What an interface may do for its traffic, as ethtool names it. */
enum genie_offload {
	GENIE_OFFLOAD_GRO = 0,
	GENIE_OFFLOAD_TX_CHECKSUM = 1,
	GENIE_OFFLOAD_TSO = 2,
	GENIE_OFFLOAD_GSO = 3,
};

#define GENIE_DRIVER_NAME_BYTES 32

/*
 * ioctl(SIOCETHTOOL) on the interface "name", in the namespace that the
 * socket "control" was made in. Each gives a negated errno on failure.
 */

/* 0 or 1: whether the offload is on. */
int genie_offload_get(int control, const char *name,
		      enum genie_offload offload);

/* Turns the offload on or off; gives 0. */
int genie_offload_set(int control, const char *name, enum genie_offload offload,
		      bool on);

/* Fills in the driver's name, always terminated; gives 0. */
int genie_driver_name(int control, const char *name,
		      char driver[GENIE_DRIVER_NAME_BYTES]);

/*
 * Has an interface take no super-packets of tunnels and of SCTP, and of UDP where
 * that is said: whoever sends some cuts them up first. Zero, or a negated errno;
 * a kernel that does not know some of them has nothing to turn off.
 */
int genie_foreign_segmentation_off(int control, const char *name,
				   bool with_udp);

#endif
