/* Between struct genie_socket_address and the kernel's sockaddr. */
#ifndef GENIE_ADDRESS_H
#define GENIE_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "sockets.h"

/* Room for either family; read through the member that family names. */
union genie_sockaddr {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

/* Fills out for a socket of the family of is_ipv4, giving the length. An IPv6
 * address for an IPv4 socket is left as it is, for the kernel to refuse.
 */
socklen_t genie_address_to_kernel(const struct genie_socket_address *address,
				  int is_ipv4, union genie_sockaddr *out);

/* Fills out from the kernel's form; all zero for a foreign family. */
void genie_address_from_kernel(const union genie_sockaddr *address,
			       struct genie_socket_address *out);

#endif
