#ifndef NETWORK_NAMESPACE_H
#define NETWORK_NAMESPACE_H

#include <stddef.h>

/*
 * Runs `body` on a thread of its own inside the network namespace at `path`
 * and waits for it, so that no other thread ever changes its namespace.
 * Returns zero, or the errno that kept `body` from running.
 */
int network_namespace_run(const char *path, void (*body)(void *),
			  void *context);

/* Sends one Ethernet frame as it is. Returns zero or an errno. */
int network_frame_send(const char *interface, const void *frame, size_t size);

#endif
