#define _GNU_SOURCE
#include "include/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

int genie_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC) ? -errno : 0;
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

pid_t genie_spawn(const char *path, char *const environment[],
		  const int *descriptors, int count)
{
	char *const arguments[] = { (char *)path, NULL };
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
