#define _GNU_SOURCE
#include "network_namespace.h"

#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

struct visit {
	const char *path;
	void (*body)(void *);
	void *context;
	int error;
};

static void *visit_run(void *argument)
{
	struct visit *visit = argument;
	int fd = open(visit->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		visit->error = errno;
	else
		visit->body(visit->context);
	if (fd >= 0)
		close(fd);
	return NULL;
}

int network_namespace_run(const char *path, void (*body)(void *), void *context)
{
	struct visit visit = { .path = path, .body = body, .context = context };
	pthread_t thread;
	int error = pthread_create(&thread, NULL, visit_run, &visit);

	if (error)
		return error;
	pthread_join(thread, NULL);
	return visit.error;
}

int network_frame_send(const char *interface, const void *frame, size_t size)
{
	struct sockaddr_ll target = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(interface),
		.sll_halen = 6,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return errno;
	if (sendto(fd, frame, size, 0, (void *)&target, sizeof(target)) < 0)
		error = errno;
	close(fd);
	return error;
}

size_t network_frames_send(const char *interface, const void *frames,
			   const size_t *sizes, size_t count)
{
	struct sockaddr_ll target = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(interface),
		.sll_halen = 6,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const char *frame = frames;
	size_t sent = 0;

	if (fd < 0)
		return 0;
	while (sent < count) {
		if (sendto(fd, frame, sizes[sent], 0, (void *)&target,
			   sizeof(target)) < 0) {
			if (errno != ENOBUFS && errno != EINTR)
				break;
			continue;
		}
		frame += sizes[sent++];
	}
	close(fd);
	return sent;
}

int network_capture_open(const char *interface)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(interface),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			htons(ETH_P_ALL));
	int room = 64 << 20;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (void *)&address, sizeof(address))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

long network_capture_next(int capture, void *frame, size_t size)
{
	struct sockaddr_ll from;
	socklen_t length;
	ssize_t got;

	do {
		length = sizeof(from);
		got = recvfrom(capture, frame, size, 0, (void *)&from, &length);
	} while (got >= 0 && from.sll_pkttype == PACKET_OUTGOING);
	return got;
}
