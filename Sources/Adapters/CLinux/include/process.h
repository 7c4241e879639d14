#ifndef GENIE_PROCESS_H
#define GENIE_PROCESS_H

#include <sys/types.h>

/* A pipe whose ends no other program inherits; gives 0 or a negated errno. */
int genie_pipe(int ends[2]);

/*
 * write() to a pipe that may have lost its reader: -EPIPE then and no signal,
 * whatever the process does about SIGPIPE. Gives a count or a negated errno.
 */
ssize_t genie_pipe_write(int end, const void *bytes, size_t count);

/*
 * Starts a program in a process group of its own, with every signal as it is
 * by default, and with exactly the "count" descriptors as 0, 1, 2 and so on.
 * The arguments begin with its name. Gives its number or a negated errno.
 */
pid_t genie_spawn(const char *path, char *const arguments[],
		  char *const environment[], const int *descriptors, int count);

/*
 * A descriptor that can be read from once the child "process" has ended
 * (pidfd_open(2), Linux 5.3), or a negated errno.
 */
int genie_process_descriptor(pid_t process);

#endif
