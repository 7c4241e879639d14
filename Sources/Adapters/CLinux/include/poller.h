/* Edges of epoll(7): which descriptors have become readable. */
#ifndef GENIE_POLLER_H
#define GENIE_POLLER_H

#include <stdint.h>

/* Each returns minus an errno on failure. */

/* Opens an instance, close-on-exec. */
int genie_poller_open(void);

/* Tells `token` once whenever something has come since the last time, or the
 * other end has gone; at once where that was so before.
 */
int genie_poller_add(int poller, int fd, uint64_t token);

int genie_poller_remove(int poller, int fd);

/* Waits for at least one; returns how many of `tokens` were filled in. */
int genie_poller_wait(int poller, uint64_t *tokens, int tokens_max);

#endif
