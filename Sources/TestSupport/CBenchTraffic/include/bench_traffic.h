#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

enum traffic_kind {
	TRAFFIC_TCP,  /* streams that are written and read as fast as they go */
	TRAFFIC_UDP,  /* datagrams of one size, sent as fast as they go */
	TRAFFIC_ECHO, /* one datagram there and back, then the next */
};

/*
 * One load from one network namespace to another. Both ends are threads of
 * this process; their sockets are made in the namespaces.
 */
struct traffic_load {
	enum traffic_kind kind;
	const char *from_netns; /* paths */
	const char *to_netns;
	const char *from; /* addresses of one family */
	const char *to;
	uint16_t port;
	unsigned streams;    /* of TCP, 1 to 64 */
	unsigned bytes;	     /* of a datagram, 1 to 65,000 */
	unsigned warm_up_ms; /* not counted */
	unsigned measured_ms;
};

struct traffic_result {
	uint64_t bytes;	      /* received, without headers */
	uint64_t packets;     /* received; of TRAFFIC_UDP and TRAFFIC_ECHO */
	uint64_t sent;	      /* of the same */
	uint64_t nanoseconds; /* in which these were counted */
	/* The whole machine's busy time meanwhile, in ticks of 10 ms. */
	uint64_t busy_ticks;
	const char *failed; /* the call that failed, NULL for none */
};

/*
 * Runs a load. For TRAFFIC_ECHO `times` gets each round trip in nanoseconds,
 * at most `capacity` of them, and their number is `result->packets`.
 * Returns zero, or the errno of `result->failed`.
 */
int traffic_run(const struct traffic_load *load, struct traffic_result *result,
		uint32_t *times, size_t capacity);

/*
 * A datagram socket of a namespace, or -errno: bound to the address and the
 * port, or with a peer to the address and connected to the peer's port.
 * Receiving gives up after 100 ms.
 */
int traffic_datagram_socket(const char *netns, const char *address,
			    const char *peer, uint16_t port);

#endif
