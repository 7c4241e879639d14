#define _GNU_SOURCE
#include "include/poller.h"

#include <errno.h>
#include <sys/epoll.h>

#define EVENTS_MAX 64

int genie_poller_open(void)
{
	int poller = epoll_create1(EPOLL_CLOEXEC);

	return poller < 0 ? -errno : poller;
}

int genie_poller_add(int poller, int fd, uint64_t token)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.u64 = token,
	};

	return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int genie_poller_remove(int poller, int fd)
{
	struct epoll_event event = { 0 };

	return epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event) ? -errno : 0;
}

int genie_poller_wait(int poller, uint64_t *tokens, int tokens_max)
{
	struct epoll_event events[EVENTS_MAX];
	int count;

	if (tokens_max > EVENTS_MAX)
		tokens_max = EVENTS_MAX;
	count = epoll_wait(poller, events, tokens_max, -1);
	if (count < 0)
		return -errno;
	for (int index = 0; index < count; index++)
		tokens[index] = events[index].data.u64;
	return count;
}
