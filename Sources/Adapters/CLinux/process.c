#define _GNU_SOURCE
#include "include/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int genie_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC) ? -errno : 0;
}

ssize_t genie_pipe_write(int end, const void *bytes, size_t count)
{
	const struct timespec now = { 0, 0 };
	sigset_t pipe_signal, before;
	ssize_t status;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	status = write(end, bytes, count);
	if (status < 0) {
		status = -errno;
		if (status == -EPIPE && !sigismember(&before, SIGPIPE))
			sigtimedwait(&pipe_signal, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t signals;
	int status;

	sigemptyset(&signals);
	status = posix_spawnattr_setsigmask(attributes, &signals);
	if (status)
		return status;
	sigfillset(&signals);
	status = posix_spawnattr_setsigdefault(attributes, &signals);
	if (status)
		return status;
	return posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
				    POSIX_SPAWN_SETSIGDEF);
}

pid_t genie_spawn(const char *path, char *const arguments[],
		  char *const environment[], const int *descriptors, int count)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t process = 0;
	int status, target;

	status = posix_spawn_file_actions_init(&actions);
	if (status)
		return -status;
	status = posix_spawnattr_init(&attributes);
	if (status) {
		posix_spawn_file_actions_destroy(&actions);
		return -status;
	}
	for (target = 0; !status && target < count; target++)
		status = posix_spawn_file_actions_adddup2(
			&actions, descriptors[target], target);
	if (!status)
		status = posix_spawn_file_actions_addclosefrom_np(&actions,
								  count);
	if (!status)
		status = set_attributes(&attributes);
	if (!status)
		status = posix_spawn(&process, path, &actions, &attributes,
				     arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return status ? -status : process;
}

int genie_process_descriptor(pid_t process)
{
	int descriptor = (int)syscall(SYS_pidfd_open, process, 0);

	return descriptor < 0 ? -errno : descriptor;
}
