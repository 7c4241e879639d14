#define _GNU_SOURCE
#include "sockets.h"

#include <endian.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "address.h"

#define MAPPED_PREFIX 0x0000ffff00000000ULL

int genie_address_is_ipv4(const struct genie_socket_address *address)
{
	return address->high == 0 && address->low >> 32 == MAPPED_PREFIX >> 32;
}

socklen_t genie_address_to_kernel(const struct genie_socket_address *address,
				  int is_ipv4, union genie_sockaddr *out)
{
	uint64_t words[2] = { htobe64(address->high), htobe64(address->low) };

	memset(out, 0, sizeof(*out));
	if (is_ipv4 && genie_address_is_ipv4(address)) {
		out->ipv4.sin_family = AF_INET;
		out->ipv4.sin_port = htons(address->port);
		out->ipv4.sin_addr.s_addr = htonl((uint32_t)address->low);
		return sizeof(out->ipv4);
	}
	out->ipv6.sin6_family = AF_INET6;
	out->ipv6.sin6_port = htons(address->port);
	memcpy(&out->ipv6.sin6_addr, words, sizeof(words));
	return sizeof(out->ipv6);
}

void genie_address_from_kernel(const union genie_sockaddr *address,
			       struct genie_socket_address *out)
{
	uint64_t words[2];

	memset(out, 0, sizeof(*out));
	if (address->any.sa_family == AF_INET) {
		out->low = MAPPED_PREFIX | ntohl(address->ipv4.sin_addr.s_addr);
		out->port = ntohs(address->ipv4.sin_port);
	} else if (address->any.sa_family == AF_INET6) {
		memcpy(words, &address->ipv6.sin6_addr, sizeof(words));
		out->high = be64toh(words[0]);
		out->low = be64toh(words[1]);
		out->port = ntohs(address->ipv6.sin6_port);
	}
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno
								    : 0;
}

static int open_socket(const struct genie_socket_address *address, int type)
{
	int is_ipv4 = genie_address_is_ipv4(address);
	int is_any = address->high == 0 && address->low == 0;
	int fd, result;

	fd = socket(is_ipv4 ? AF_INET : AF_INET6,
		    type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (is_ipv4)
		return fd;
	result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_any);
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}

int genie_socket_open_datagram(const struct genie_socket_address *address)
{
	return open_socket(address, SOCK_DGRAM);
}

int genie_socket_open_stream(const struct genie_socket_address *address)
{
	return open_socket(address, SOCK_STREAM);
}

int genie_socket_bind(int fd, const struct genie_socket_address *address)
{
	union genie_sockaddr kernel;
	socklen_t length = genie_address_to_kernel(
		address, genie_address_is_ipv4(address), &kernel);

	return bind(fd, &kernel.any, length) ? -errno : 0;
}

int genie_socket_connect(int fd, const struct genie_socket_address *address)
{
	union genie_sockaddr kernel;
	socklen_t length = genie_address_to_kernel(
		address, genie_address_is_ipv4(address), &kernel);

	return connect(fd, &kernel.any, length) ? -errno : 0;
}

int genie_socket_local_address(int fd, struct genie_socket_address *address)
{
	union genie_sockaddr kernel = { 0 };
	socklen_t length = sizeof(kernel);

	if (getsockname(fd, &kernel.any, &length))
		return -errno;
	genie_address_from_kernel(&kernel, address);
	return 0;
}

int genie_socket_take_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length))
		return errno;
	return error;
}

int genie_socket_reuse_address(int fd)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

int genie_socket_accept(int fd, struct genie_socket_address *peer)
{
	union genie_sockaddr kernel = { 0 };
	socklen_t length = sizeof(kernel);
	int accepted;

	accepted =
		accept4(fd, &kernel.any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (accepted < 0)
		return -errno;
	genie_address_from_kernel(&kernel, peer);
	return accepted;
}

int genie_socket_set_buffers(int fd, int bytes)
{
	int result = 0;

	if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) < 0)
		result = set_option(fd, SOL_SOCKET, SO_RCVBUF, bytes);
	if (result == 0 &&
	    set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0)
		result = set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
	return result;
}

int genie_tcp_set_liveness(int fd, int idle_seconds, int interval_seconds,
			   int timeout_milliseconds)
{
	/* TCP_USER_TIMEOUT ends the probing, so the count only has to reach it. */
	int count = timeout_milliseconds / (interval_seconds * 1000) + 1;
	const struct {
		int level, option, value;
	} settings[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds },
		{ IPPROTO_TCP, TCP_KEEPINTVL, interval_seconds },
		{ IPPROTO_TCP, TCP_KEEPCNT, count },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_milliseconds },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	};
	size_t i;
	int result;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		result = set_option(fd, settings[i].level, settings[i].option,
				    settings[i].value);
		if (result < 0)
			return result;
	}
	return 0;
}
