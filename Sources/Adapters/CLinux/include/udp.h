/* Batches of UDP datagrams, and what the network said about lost ones.
 *
 * Every function gives a result >= 0, or a negative errno.
 */
#ifndef GENIE_UDP_H
#define GENIE_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "sockets.h"

/* The most datagrams that one call moves. */
enum { GENIE_UDP_BATCH_MAX = 64 };

/* One datagram that came in.
 *   off size field
 *    0  24   source
 *   24   4   length        bytes in its slot
 *   28   4   is_truncated  1 when the datagram was longer than the slot
 */
struct genie_udp_received {
	struct genie_socket_address source;
	uint32_t length;
	uint32_t is_truncated;
};
_Static_assert(sizeof(struct genie_udp_received) == 32, "no hidden padding");
_Static_assert(offsetof(struct genie_udp_received, length) == 24, "length");

/* One datagram to send: length bytes of the arena, from offset on.
 *   off size field
 *    0  24   destination
 *   24   4   offset
 *   28   4   length
 */
struct genie_udp_outgoing {
	struct genie_socket_address destination;
	uint32_t offset;
	uint32_t length;
};
_Static_assert(sizeof(struct genie_udp_outgoing) == 32, "no hidden padding");
_Static_assert(offsetof(struct genie_udp_outgoing, offset) == 24, "offset");

/* What became of an earlier datagram.
 *   off size field
 *    0  24   destination  where the lost datagram was sent
 *   24   4   error        an errno: ECONNREFUSED means a closed port
 *   28   4   quoted       how many of its bytes came back
 */
struct genie_udp_error {
	struct genie_socket_address destination;
	int32_t error;
	uint32_t quoted;
};
_Static_assert(sizeof(struct genie_udp_error) == 32, "no hidden padding");
_Static_assert(offsetof(struct genie_udp_error, error) == 24, "error");

/* Receives up to count datagrams (recvmmsg(2)); datagram i lies at
 * arena + i * slot_bytes. -EAGAIN when there is none.
 */
int genie_udp_receive(int fd, uint8_t *arena, uint32_t slot_bytes,
		      struct genie_udp_received *received, uint32_t count);

/* Sends up to count datagrams (sendmmsg(2)) over a socket of the family of
 * is_ipv4. Gives how many went; an error is about the first one alone.
 */
int genie_udp_send(int fd, int is_ipv4, const uint8_t *arena,
		   const struct genie_udp_outgoing *outgoing, uint32_t count);

/* Has ICMP errors queued for genie_udp_next_error (IP_RECVERR in ip(7)). */
int genie_udp_queue_errors(int fd, int is_ipv4);

/* Opens a descriptor that is readable while the socket has a datagram or a
 * queued error: an epoll(7) set of one. A poller that asks for EPOLLIN alone
 * is told of a queued error as EPOLLERR; libdispatch drops that event, runs no
 * handler and asks again at once, for ever. The set turns both into EPOLLIN.
 */
int genie_udp_open_watch(int fd);

/* Takes one error from the queue: 1 when there was one, 0 when not. What it
 * quotes of the lost datagram goes to quote, up to quote_bytes of it.
 */
int genie_udp_next_error(int fd, struct genie_udp_error *error, uint8_t *quote,
			 uint32_t quote_bytes);

#endif
