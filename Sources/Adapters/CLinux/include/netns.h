#ifndef GENIE_NETNS_H
#define GENIE_NETNS_H

#include <stddef.h>

/*
 * Work inside another network namespace.
 *
 * setns() changes the calling thread and nothing else. A thread that belongs
 * to a pool would carry the change into whatever runs on it next, so every
 * function here enters the namespace on a thread of its own, which ends
 * before the function returns. A socket stays in the namespace it was made
 * in, so only its creation needs that thread.
 *
 * "netns" is an open namespace file, or -1 for the caller's namespace.
 * Every function gives 0 (or a count) or a negated errno.
 */

struct genie_netns_sockets {
	int netlink; /* NETLINK_ROUTE, close-on-exec */
	int control; /* a datagram socket to hang ioctl() on */
};

/* Gives what "run" gives there. */
int genie_netns_run(int netns, int (*run)(void *), void *argument);

/* Opens both sockets inside the namespace; on failure none stays open. */
int genie_netns_sockets_open(int netns, struct genie_netns_sockets *sockets);

/* Opens a socket that never waits and hears of every interface that comes,
 * changes or goes inside the namespace (RTNLGRP_LINK); gives the descriptor,
 * which the caller closes.
 */
int genie_link_news_open(int netns);

/* -EINVAL unless the open file is a network namespace. */
int genie_netns_check(int file);

/* Writes to a file whose content depends on the namespace (/proc/sys/net). */
int genie_netns_file_write(int netns, const char *path, const void *bytes,
			   size_t count);

/* Reads such a file; gives the number of bytes, at most "count". */
int genie_netns_file_read(int netns, const char *path, void *bytes,
			  size_t count);

#endif
