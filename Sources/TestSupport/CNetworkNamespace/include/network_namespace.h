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

/*
 * Sends `count` frames that lie one behind the other at `frames`, of `sizes`
 * bytes each. Returns how many the interface took; the first that it refuses
 * for its form ends it.
 */
size_t network_frames_send(const char *interface, const void *frames,
			   const size_t *sizes, size_t count);

/* Opens a socket that gets what the interface receives, with room for many
 * frames. Returns a descriptor, or minus an errno.
 */
int network_capture_open(const char *interface);

/* The size of the next frame that was received and not sent by this side, or
 * minus one when there is none yet.
 */
long network_capture_next(int capture, void *frame, size_t size);

#endif
