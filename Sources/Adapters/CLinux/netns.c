#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define THREAD_STACK_BYTES (128 * 1024)
#define REPLY_WAIT_SECONDS 10
#define LINK_NEWS_BYTES (1024 * 1024)

struct job {
	int netns;
	int (*run)(void *argument);
	void *argument;
	int result;
};

static void *enter_and_run(void *opaque)
{
	struct job *job = opaque;

	if (setns(job->netns, CLONE_NEWNET) < 0)
		job->result = -errno;
	else
		job->result = job->run(job->argument);
	return NULL;
}

static int start_and_join(struct job *job)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	int status;

	status = pthread_attr_init(&attributes);
	if (status)
		return -status;
	pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
	/* A signal handler must not run in the other namespace. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&thread, &attributes, enter_and_run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (status)
		return -status;
	pthread_join(thread, NULL);
	return job->result;
}

int genie_netns_run(int netns, int (*run)(void *), void *argument)
{
	struct job job = {
		.netns = netns,
		.run = run,
		.argument = argument,
	};

	return netns < 0 ? run(argument) : start_and_join(&job);
}

static int set_options(int netlink)
{
	const struct timeval wait = { .tv_sec = REPLY_WAIT_SECONDS };
	const int on = 1;

	if (setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) <
	    0)
		return -errno;
	/* Both only shape the answers; a kernel without them still works. */
	setsockopt(netlink, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(netlink, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	return 0;
}

static int open_sockets(void *argument)
{
	struct genie_netns_sockets *sockets = argument;
	int status;

	sockets->control = -1;
	sockets->netlink =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (sockets->netlink < 0)
		return -errno;
	status = set_options(sockets->netlink);
	if (status == 0) {
		sockets->control =
			socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (sockets->control >= 0)
			return 0;
		status = -errno;
	}
	close(sockets->netlink);
	sockets->netlink = -1;
	return status;
}

int genie_netns_sockets_open(int netns, struct genie_netns_sockets *sockets)
{
	return genie_netns_run(netns, open_sockets, sockets);
}

static int open_link_news(void *argument)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1U << (RTNLGRP_LINK - 1),
	};
	const int room = LINK_NEWS_BYTES;
	int news, status;

	(void)argument;
	news = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		      NETLINK_ROUTE);
	if (news < 0)
		return -errno;
	/* What does not fit is lost, and nobody depends on it. */
	setsockopt(news, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(news, (struct sockaddr *)&address, sizeof(address)) == 0)
		return news;
	status = -errno;
	close(news);
	return status;
}

int genie_link_news_open(int netns)
{
	return genie_netns_run(netns, open_link_news, NULL);
}

int genie_netns_check(int file)
{
	return ioctl(file, NS_GET_NSTYPE) == CLONE_NEWNET ? 0 : -EINVAL;
}

struct transfer {
	const char *path;
	const void *source; /* set for a write */
	void *target;	    /* set for a read */
	size_t count;
};

static int transfer_file(void *argument)
{
	struct transfer *transfer = argument;
	int flags = transfer->source ? O_WRONLY : O_RDONLY;
	ssize_t moved;
	int file, result;

	file = open(transfer->path, flags | O_CLOEXEC);
	if (file < 0)
		return -errno;
	if (transfer->source)
		moved = write(file, transfer->source, transfer->count);
	else
		moved = read(file, transfer->target, transfer->count);
	result = moved < 0 ? -errno : (int)moved;
	close(file);
	return result;
}

int genie_netns_file_write(int netns, const char *path, const void *bytes,
			   size_t count)
{
	struct transfer transfer = {
		.path = path,
		.source = bytes,
		.count = count,
	};
	int moved = genie_netns_run(netns, transfer_file, &transfer);

	if (moved < 0)
		return moved;
	return (size_t)moved == count ? 0 : -EIO;
}

int genie_netns_file_read(int netns, const char *path, void *bytes,
			  size_t count)
{
	struct transfer transfer = {
		.path = path,
		.target = bytes,
		.count = count,
	};

	return genie_netns_run(netns, transfer_file, &transfer);
}
