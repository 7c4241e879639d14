#define _GNU_SOURCE
#include "udp.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include "address.h"

int genie_udp_receive(int fd, uint8_t *arena, uint32_t slot_bytes,
		      struct genie_udp_received *received, uint32_t count)
{
	struct mmsghdr messages[GENIE_UDP_BATCH_MAX] = { 0 };
	union genie_sockaddr sources[GENIE_UDP_BATCH_MAX] = { 0 };
	struct iovec slots[GENIE_UDP_BATCH_MAX];
	uint32_t i;
	int taken;

	if (count > GENIE_UDP_BATCH_MAX)
		count = GENIE_UDP_BATCH_MAX;
	for (i = 0; i < count; i++) {
		slots[i].iov_base = arena + (size_t)i * slot_bytes;
		slots[i].iov_len = slot_bytes;
		messages[i].msg_hdr.msg_name = &sources[i];
		messages[i].msg_hdr.msg_namelen = sizeof(sources[i]);
		messages[i].msg_hdr.msg_iov = &slots[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	taken = recvmmsg(fd, messages, count, MSG_DONTWAIT, NULL);
	if (taken < 0)
		return -errno;
	for (i = 0; i < (uint32_t)taken; i++) {
		genie_address_from_kernel(&sources[i], &received[i].source);
		received[i].length = messages[i].msg_len;
		received[i].is_truncated =
			(messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
	}
	return taken;
}

int genie_udp_send(int fd, int is_ipv4, const uint8_t *arena,
		   const struct genie_udp_outgoing *outgoing, uint32_t count)
{
	struct mmsghdr messages[GENIE_UDP_BATCH_MAX] = { 0 };
	union genie_sockaddr destinations[GENIE_UDP_BATCH_MAX];
	struct iovec slots[GENIE_UDP_BATCH_MAX];
	uint32_t i;
	int sent;

	if (count > GENIE_UDP_BATCH_MAX)
		count = GENIE_UDP_BATCH_MAX;
	for (i = 0; i < count; i++) {
		slots[i].iov_base = (void *)(arena + outgoing[i].offset);
		slots[i].iov_len = outgoing[i].length;
		messages[i].msg_hdr.msg_name = &destinations[i];
		messages[i].msg_hdr.msg_namelen = genie_address_to_kernel(
			&outgoing[i].destination, is_ipv4, &destinations[i]);
		messages[i].msg_hdr.msg_iov = &slots[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

int genie_udp_queue_errors(int fd, int is_ipv4)
{
	int on = 1;

	if (!is_ipv4 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)))
		return -errno;
	/* A dual-stack socket hears about its IPv4 datagrams through this one. */
	if (setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) && is_ipv4)
		return -errno;
	return 0;
}

int genie_udp_open_watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int watch, error;

	watch = epoll_create1(EPOLL_CLOEXEC);
	if (watch < 0)
		return -errno;
	if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &event)) {
		error = errno;
		close(watch);
		return -error;
	}
	return watch;
}

int genie_udp_next_error(int fd, struct genie_udp_error *error, uint8_t *quote,
			 uint32_t quote_bytes)
{
	union {
		char bytes[512];
		struct cmsghdr align;
	} control;
	union genie_sockaddr destination = { 0 };
	struct iovec slot = { .iov_base = quote, .iov_len = quote_bytes };
	struct msghdr message = {
		.msg_name = &destination,
		.msg_namelen = sizeof(destination),
		.msg_iov = &slot,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *header;
	ssize_t quoted;

	quoted = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	if (quoted < 0)
		return errno == EAGAIN ? 0 : -errno;
	memset(error, 0, sizeof(*error));
	error->quoted = (uint32_t)quoted;
	genie_address_from_kernel(&destination, &error->destination);
	for (header = CMSG_FIRSTHDR(&message); header;
	     header = CMSG_NXTHDR(&message, header)) {
		struct sock_extended_err detail;

		if (!(header->cmsg_level == IPPROTO_IP &&
		      header->cmsg_type == IP_RECVERR) &&
		    !(header->cmsg_level == IPPROTO_IPV6 &&
		      header->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&detail, CMSG_DATA(header), sizeof(detail));
		error->error = (int32_t)detail.ee_errno;
	}
	return 1;
}
