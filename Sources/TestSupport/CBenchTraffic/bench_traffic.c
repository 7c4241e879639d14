#define _GNU_SOURCE
#include "bench_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX 64
#define BATCH 32
#define CHUNK (128 * 1024)

/* One thread's share. Counters have one writer. */
struct end {
	const struct traffic_load *load;
	int socket;
	unsigned cpu;
	atomic_ullong bytes, packets;
	atomic_bool *stop;
};

struct opening {
	const char *netns;
	const char *address;
	const char *peer; /* NULL: listen, or for UDP bind alone */
	uint16_t port;
	int type;
	int socket;
	int error;
};

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pause_ms(unsigned milliseconds)
{
	struct timespec time = { milliseconds / 1000,
				 (milliseconds % 1000) * 1000000l };

	nanosleep(&time, NULL);
}

/* Ticks in which some processor did something: user, nice, system, irq,
 * softirq and steal of the first line of /proc/stat.
 */
static uint64_t busy_ticks(void)
{
	unsigned long long part[8] = { 0 };
	FILE *file = fopen("/proc/stat", "re");

	if (!file)
		return 0;
	if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
		   &part[0], &part[1], &part[2], &part[3], &part[4], &part[5],
		   &part[6], &part[7]) != 8)
		memset(part, 0, sizeof(part));
	fclose(file);
	return part[0] + part[1] + part[2] + part[5] + part[6] + part[7];
}

static socklen_t name_of(const char *address, uint16_t port,
			 struct sockaddr_storage *name)
{
	struct sockaddr_in *four = (void *)name;
	struct sockaddr_in6 *six = (void *)name;

	memset(name, 0, sizeof(*name));
	if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		return sizeof(*six);
	}
	return 0;
}

static int open_socket(struct opening *opening)
{
	struct timeval patience = { .tv_usec = 100000 };
	struct sockaddr_storage own, peer;
	/* A connecting socket takes any port of its own. */
	socklen_t size = name_of(opening->address,
				 opening->peer ? 0 : opening->port, &own);
	int on = 1, room = 4 << 20, fd;

	if (!size)
		return EINVAL;
	fd = socket(own.ss_family, opening->type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	opening->socket = fd;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (opening->type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(fd, (void *)&own, size))
		return errno;
	if (!opening->peer)
		return opening->type == SOCK_STREAM && listen(fd, STREAMS_MAX)
			       ? errno
			       : 0;
	size = name_of(opening->peer, opening->port, &peer);
	if (!size || peer.ss_family != own.ss_family)
		return EAFNOSUPPORT;
	return connect(fd, (void *)&peer, size) ? errno : 0;
}

static void *open_inside(void *argument)
{
	struct opening *opening = argument;
	int fd = open(opening->netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		opening->error = errno;
	else
		opening->error = open_socket(opening);
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* A socket made inside a namespace, or -errno. */
static int socket_inside(const char *netns, const char *address,
			 const char *peer, uint16_t port, int type)
{
	struct opening opening = { netns, address, peer, port, type, -1, 0 };
	pthread_t thread;
	int error = pthread_create(&thread, NULL, open_inside, &opening);

	if (error)
		return -error;
	pthread_join(thread, NULL);
	if (!opening.error)
		return opening.socket;
	if (opening.socket >= 0)
		close(opening.socket);
	return -opening.error;
}

int traffic_datagram_socket(const char *netns, const char *address,
			    const char *peer, uint16_t port)
{
	return socket_inside(netns, address, peer, port, SOCK_DGRAM);
}

/* A flood and who counts it keep to a processor each. TCP is left to the
 * scheduler, which keeps a stream's ends near one another as it sees fit.
 */
static void settle(const struct end *end)
{
	cpu_set_t set;

	if (end->load->kind == TRAFFIC_TCP)
		return;
	CPU_ZERO(&set);
	CPU_SET(end->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *write_stream(void *argument)
{
	struct end *end = argument;
	char *chunk = calloc(1, CHUNK);

	settle(end);
	while (chunk && !atomic_load(end->stop))
		if (send(end->socket, chunk, CHUNK, MSG_NOSIGNAL) < 0 &&
		    errno != EINTR)
			break;
	shutdown(end->socket, SHUT_WR);
	free(chunk);
	return NULL;
}

static void *read_stream(void *argument)
{
	struct end *end = argument;
	char *chunk = malloc(CHUNK);

	settle(end);
	while (chunk) {
		ssize_t size = recv(end->socket, chunk, CHUNK, 0);

		if (size > 0)
			atomic_fetch_add(&end->bytes, (uint64_t)size);
		else if (size == 0 || atomic_load(end->stop) ||
			 (errno != EAGAIN && errno != EINTR))
			break;
	}
	free(chunk);
	return NULL;
}

static void batch_make(struct mmsghdr *batch, struct iovec *parts, char *data,
		       size_t bytes)
{
	memset(batch, 0, sizeof(*batch) * BATCH);
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ data + i * bytes, bytes };
		batch[i].msg_hdr.msg_iov = &parts[i];
		batch[i].msg_hdr.msg_iovlen = 1;
	}
}

static void *send_datagrams(void *argument)
{
	struct end *end = argument;
	char *data = calloc(BATCH, end->load->bytes);
	struct mmsghdr batch[BATCH];
	struct iovec parts[BATCH];

	settle(end);
	batch_make(batch, parts, data, end->load->bytes);
	while (data && !atomic_load(end->stop)) {
		int count = sendmmsg(end->socket, batch, BATCH, 0);

		if (count > 0)
			atomic_fetch_add(&end->packets, (uint64_t)count);
	}
	free(data);
	return NULL;
}

static void *receive_datagrams(void *argument)
{
	struct end *end = argument;
	char *data = calloc(BATCH, end->load->bytes);
	struct mmsghdr batch[BATCH];
	struct iovec parts[BATCH];

	settle(end);
	batch_make(batch, parts, data, end->load->bytes);
	while (data && !atomic_load(end->stop)) {
		int count = recvmmsg(end->socket, batch, BATCH, MSG_WAITFORONE,
				     NULL);

		for (int i = 0; i < count; i++)
			atomic_fetch_add(&end->bytes, batch[i].msg_len);
		if (count > 0)
			atomic_fetch_add(&end->packets, (uint64_t)count);
	}
	free(data);
	return NULL;
}

static void *echo_datagrams(void *argument)
{
	struct end *end = argument;
	struct sockaddr_storage name;
	char data[65536];

	settle(end);
	while (!atomic_load(end->stop)) {
		socklen_t room = sizeof(name);
		ssize_t size = recvfrom(end->socket, data, sizeof(data), 0,
					(void *)&name, &room);

		if (size > 0)
			sendto(end->socket, data, (size_t)size, 0,
			       (void *)&name, room);
	}
	return NULL;
}

/* Asks and waits until `until`; a question without an answer is left out. */
static void ask(struct end *end, struct traffic_result *result, uint64_t until,
		uint32_t *times, size_t capacity)
{
	char data[65536] = { 0 };
	uint32_t number = 0, back;
	uint64_t start, span;
	ssize_t size;

	while (now() < until) {
		number++;
		memcpy(data, &number, sizeof(number));
		start = now();
		if (send(end->socket, data, end->load->bytes, 0) < 0)
			continue;
		result->sent++;
		/* The answer to an earlier question comes too late. */
		do {
			size = recv(end->socket, data, sizeof(data), 0);
			memcpy(&back, data, sizeof(back));
		} while (size >= 4 && back != number);
		span = now() - start;
		if (size >= 4 && result->packets < capacity)
			times[result->packets++] = (uint32_t)span;
	}
}

static int start(pthread_t *thread, struct end *end,
		 const struct traffic_load *load, int socket, unsigned cpu,
		 atomic_bool *stop, void *(*body)(void *))
{
	end->load = load;
	end->socket = socket;
	end->cpu = cpu;
	end->stop = stop;
	return pthread_create(thread, NULL, body, end);
}

/* What all of `ends` have counted. */
static void sum(struct end *ends, unsigned count, uint64_t *bytes,
		uint64_t *packets)
{
	*bytes = *packets = 0;
	for (unsigned i = 0; i < count; i++) {
		*bytes += atomic_load(&ends[i].bytes);
		*packets += atomic_load(&ends[i].packets);
	}
}

/* The measured part: differences of the counters over the span. */
static void observe(const struct traffic_load *load, struct end *senders,
		    struct end *receivers, unsigned count,
		    struct traffic_result *result)
{
	uint64_t bytes[2], packets[2], sent[2], ticks, unused, from;

	pause_ms(load->warm_up_ms);
	sum(receivers, count, &bytes[0], &packets[0]);
	sum(senders, count, &unused, &sent[0]);
	ticks = busy_ticks();
	from = now();
	pause_ms(load->measured_ms);
	sum(receivers, count, &bytes[1], &packets[1]);
	sum(senders, count, &unused, &sent[1]);
	result->nanoseconds = now() - from;
	result->busy_ticks = busy_ticks() - ticks;
	result->bytes = bytes[1] - bytes[0];
	result->packets = packets[1] - packets[0];
	result->sent = sent[1] - sent[0];
}

struct run {
	struct end senders[STREAMS_MAX], receivers[STREAMS_MAX];
	pthread_t threads[2 * STREAMS_MAX];
	unsigned ends, started;
	atomic_bool stop;
};

static int open_ends(const struct traffic_load *load, struct run *run,
		     int *pairs, struct traffic_result *result)
{
	int type = load->kind == TRAFFIC_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int server =
		socket_inside(load->to_netns, load->to, NULL, load->port, type);

	result->failed = "listen";
	if (server < 0)
		return -server;
	for (run->ends = 0; run->ends < load->streams; run->ends++) {
		int *pair = pairs + 2 * run->ends;

		pair[0] = socket_inside(load->from_netns, load->from, load->to,
					load->port, type);
		result->failed = "connect";
		if (pair[0] < 0) {
			close(server);
			return -pair[0];
		}
		pair[1] = type == SOCK_DGRAM ? server
					     : accept(server, NULL, NULL);
		result->failed = "accept";
		if (pair[1] < 0) {
			close(pair[0]);
			close(server);
			return errno;
		}
	}
	if (type == SOCK_STREAM)
		close(server);
	result->failed = NULL;
	return 0;
}

static int start_ends(const struct traffic_load *load, struct run *run,
		      const int *pairs)
{
	static void *(*const sending[])(void *) = { write_stream,
						    send_datagrams, NULL };
	static void *(*const receiving[])(
		void *) = { read_stream, receive_datagrams, echo_datagrams };
	unsigned last = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	int error = 0;

	for (unsigned i = 0; i < run->ends && !error; i++) {
		error = start(&run->threads[run->started], &run->receivers[i],
			      load, pairs[2 * i + 1], last, &run->stop,
			      receiving[load->kind]);
		run->started += !error;
		run->senders[i].load = load;
		run->senders[i].socket = pairs[2 * i];
		if (error || !sending[load->kind])
			continue;
		error = start(&run->threads[run->started], &run->senders[i],
			      load, pairs[2 * i], 0, &run->stop,
			      sending[load->kind]);
		run->started += !error;
	}
	return error;
}

int traffic_run(const struct traffic_load *load, struct traffic_result *result,
		uint32_t *times, size_t capacity)
{
	struct run *run = calloc(1, sizeof(*run));
	int pairs[2 * STREAMS_MAX];
	int error;

	memset(result, 0, sizeof(*result));
	if (!run || !load->streams || load->streams > STREAMS_MAX ||
	    (load->kind != TRAFFIC_TCP && load->streams != 1)) {
		free(run);
		return EINVAL;
	}
	error = open_ends(load, run, pairs, result);
	if (!error)
		error = start_ends(load, run, pairs);
	if (!error && load->kind == TRAFFIC_ECHO) {
		uint64_t from = now();
		uint64_t span = load->measured_ms * 1000000ull;

		ask(&run->senders[0], result, from + span, times, capacity);
		result->nanoseconds = now() - from;
	} else if (!error) {
		observe(load, run->senders, run->receivers, run->ends, result);
	}
	atomic_store(&run->stop, true);
	/* A sender may be waiting for room that nobody makes any more. */
	for (unsigned i = 0; i < run->ends; i++)
		shutdown(pairs[2 * i], SHUT_RDWR);
	for (unsigned i = 0; i < run->started; i++)
		pthread_join(run->threads[i], NULL);
	for (unsigned i = 0; i < run->ends; i++) {
		close(pairs[2 * i]);
		close(pairs[2 * i + 1]);
	}
	free(run);
	return error;
}
