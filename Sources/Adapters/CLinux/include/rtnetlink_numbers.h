#ifndef GENIE_RTNETLINK_NUMBERS_H
#define GENIE_RTNETLINK_NUMBERS_H

/* The kernel's own names for message types, attributes and flags. */
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#endif
