/* Non-blocking IP sockets without sockaddr: addresses go as two numbers.
 *
 * Every function gives a result >= 0, or a negative errno.
 */
#ifndef GENIE_SOCKETS_H
#define GENIE_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

/* An address and a port, all in host order.
 *   off size field
 *    0   8   high   first eight bytes of the IPv6 address
 *    8   8   low    last eight bytes; IPv4 is mapped (RFC 4291, 2.5.5.2)
 *   16   2   port
 *   18   2   pad0   zero
 *   20   4   pad1   zero
 */
struct genie_socket_address {
	uint64_t high;
	uint64_t low;
	uint16_t port;
	uint16_t pad0;
	uint32_t pad1;
};
_Static_assert(sizeof(struct genie_socket_address) == 24, "no hidden padding");
_Static_assert(offsetof(struct genie_socket_address, port) == 16, "port");

/* Whether the address is IPv4. */
int genie_address_is_ipv4(const struct genie_socket_address *address);

/* Opens a close-on-exec, non-blocking socket of the address's family. An
 * IPv6 socket also carries IPv4 when the address is the unspecified one.
 */
int genie_socket_open_datagram(const struct genie_socket_address *address);
int genie_socket_open_stream(const struct genie_socket_address *address);

int genie_socket_bind(int fd, const struct genie_socket_address *address);
int genie_socket_connect(int fd, const struct genie_socket_address *address);
int genie_socket_local_address(int fd, struct genie_socket_address *address);

/* The pending error of a socket as a positive errno, 0 for none. */
int genie_socket_take_error(int fd);

/* Lets a listener take a port whose last connections are in TIME_WAIT. */
int genie_socket_reuse_address(int fd);

/* Accepts one connection, close-on-exec and non-blocking (accept4(2)). */
int genie_socket_accept(int fd, struct genie_socket_address *peer);

/* Asks for a receive and a send buffer; past net.core.*mem_max where the
 * process has CAP_NET_ADMIN, up to it otherwise.
 */
int genie_socket_set_buffers(int fd, int bytes);

/* Sends at once (TCP_NODELAY) and notices a peer that has vanished: probes
 * after idle_seconds without traffic, every interval_seconds, and gives the
 * connection up once nothing was acknowledged for timeout_milliseconds
 * (tcp(7): TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT).
 */
int genie_tcp_set_liveness(int fd, int idle_seconds, int interval_seconds,
			   int timeout_milliseconds);

#endif
