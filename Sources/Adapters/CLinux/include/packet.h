#ifndef GENIE_PACKET_H
#define GENIE_PACKET_H

#include <stddef.h>
#include <stdint.h>

/*
 * Whole Ethernet frames of one interface (packet(7)). "netns" is as in
 * netns.h. Every function gives a result >= 0, or a negated errno.
 */

/* What is known of a frame beside its bytes. */
struct genie_packet_info {
	int64_t nanoseconds; /* since 1970, when the kernel saw it */
	uint32_t size;	  /* of the frame; more than was read if it was cut */
	uint32_t is_sent; /* 1 where the interface sent it */
};

/* Opens a socket that gets every frame of the interface. */
int genie_packet_open(int netns, const char *interface, int buffer_bytes);

/* Sends a frame as it is. */
int genie_packet_send(int fd, const void *frame, size_t size);

/* Waits for a frame, at most so long; gives the number of bytes read, or zero
 * where none came.
 */
int genie_packet_receive(int fd, void *frame, size_t size,
			 struct genie_packet_info *info, int milliseconds);

/* Frames that found no room since the last call. */
int genie_packet_losses(int fd);

#endif
