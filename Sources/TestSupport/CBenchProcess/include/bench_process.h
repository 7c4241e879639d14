#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include <sys/types.h>

/*
 * Starts a program whose standard output and error go to the two descriptors,
 * with standard input from /dev/null, in a process group of its own. It is
 * killed when this process dies, however that happens.
 *
 * The parent of such a child is a thread, and the child dies with it: all are
 * therefore started by one thread that never ends.
 * Returns zero, or the errno of what failed, execve included.
 */
int bench_process_start(const char *path, char *const arguments[],
			char *const environment[], int output, int errors,
			pid_t *pid);

/* A descriptor that is readable once the process has ended, or -errno. */
int bench_process_watch(pid_t pid);

/* Both ends of a pipe that no other child inherits. Zero or an errno. */
int bench_process_pipe(int *reader, int *writer);

#endif
