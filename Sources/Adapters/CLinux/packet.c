#define _GNU_SOURCE
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "netns.h"

struct opening {
	const char *interface;
	int buffer_bytes;
};

static int open_here(void *argument)
{
	const struct opening *opening = argument;
	struct sockaddr_ll name = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(opening->interface),
	};
	int on = 1, error, fd;

	if (!name.sll_ifindex)
		return -ENODEV;
	/* Protocol zero gets nothing until it is bound to the interface. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &opening->buffer_bytes,
		       sizeof(opening->buffer_bytes)) == 0 &&
	    bind(fd, (void *)&name, sizeof(name)) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

int genie_packet_open(int netns, const char *interface, int buffer_bytes)
{
	struct opening opening = { interface, buffer_bytes };

	return genie_netns_run(netns, open_here, &opening);
}

int genie_packet_send(int fd, const void *frame, size_t size)
{
	return send(fd, frame, size, 0) < 0 ? -errno : 0;
}

static int64_t kernel_time(struct msghdr *message)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	struct timespec time;

	for (; part; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET ||
		    part->cmsg_type != SO_TIMESTAMPNS)
			continue;
		memcpy(&time, CMSG_DATA(part), sizeof(time));
		return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
	}
	return 0;
}

int genie_packet_receive(int fd, void *frame, size_t size,
			 struct genie_packet_info *info, int milliseconds)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char control[128];
	struct sockaddr_ll name = { 0 };
	struct iovec part = { frame, size };
	struct msghdr message = {
		.msg_name = &name,
		.msg_namelen = sizeof(name),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int ready = poll(&wait, 1, milliseconds);
	ssize_t whole;

	if (ready <= 0)
		return ready < 0 && errno != EINTR ? -errno : 0;
	whole = recvmsg(fd, &message, MSG_TRUNC | MSG_DONTWAIT);
	if (whole < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	info->nanoseconds = kernel_time(&message);
	info->size = (uint32_t)whole;
	info->is_sent = name.sll_pkttype == PACKET_OUTGOING;
	return (int)((size_t)whole < size ? (size_t)whole : size);
}

int genie_packet_losses(int fd)
{
	struct tpacket_stats stats = { 0 };
	socklen_t size = sizeof(stats);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		return -errno;
	return (int)stats.tp_drops;
}
