#define _GNU_SOURCE
#include "power_switch.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Steps left until the power goes; negative while nobody asked for it. */
static long left = -1;

typedef int (*sync_call)(int);
typedef long (*system_call)(long, ...);

static long read_switch(void)
{
	const char *path = getenv("POWER_SWITCH_FILE");
	FILE *file = path ? fopen(path, "re") : NULL;
	long steps = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &steps) != 1)
		steps = -1;
	fclose(file);
	return steps;
}

static void note_cut(const char *what)
{
	char name[4096];
	FILE *file;

	snprintf(name, sizeof(name), "%s.cut", getenv("POWER_SWITCH_FILE"));
	file = fopen(name, "we");
	if (!file || fputs(what, file) < 0 || fclose(file))
		abort();
}

static void step(const char *what)
{
	long wanted;

	pthread_mutex_lock(&lock);
	wanted = read_switch();
	if (wanted < 0)
		left = -1;
	else if (left < 0)
		left = wanted;
	if (left == 0) {
		note_cut(what);
		kill(getpid(), SIGKILL);
	}
	if (left > 0)
		left--;
	pthread_mutex_unlock(&lock);
}

/* Writes the path of an open file of the data directory; zero if it is none. */
static int data_path(int fd, char *path, size_t size)
{
	const char *directory = getenv("POWER_SWITCH_DATA");
	char name[64];
	ssize_t count;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	count = readlink(name, path, size - 1);
	if (!directory || count <= 0)
		return 0;
	path[count] = 0;
	return !strncmp(path, directory, strlen(directory));
}

static void keep_copy(const char *path)
{
	char name[4096], temporary[4096 + 8];
	struct stat status;
	int from = open(path, O_RDONLY | O_CLOEXEC), to;

	if (from < 0)
		return;
	snprintf(name, sizeof(name), "%s.synced", path);
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	to = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (to >= 0 && !fstat(from, &status) && S_ISREG(status.st_mode)) {
		static char buffer[1 << 16];
		ssize_t count;

		while ((count = read(from, buffer, sizeof(buffer))) > 0)
			if (write(to, buffer, count) != count)
				abort();
		if (rename(temporary, name))
			abort();
	}
	if (to >= 0)
		close(to);
	close(from);
}

static int sync_file(int fd, const char *name)
{
	static pthread_mutex_t copying = PTHREAD_MUTEX_INITIALIZER;
	sync_call call = (sync_call)dlsym(RTLD_NEXT, name);
	char path[2048];
	int result;

	if (!data_path(fd, path, sizeof(path)))
		return call(fd);
	step("sync");
	pthread_mutex_lock(&copying);
	result = call(fd);
	if (!result)
		keep_copy(path);
	pthread_mutex_unlock(&copying);
	return result;
}

int fsync(int fd)
{
	return sync_file(fd, "fsync");
}

int fdatasync(int fd)
{
	return sync_file(fd, "fdatasync");
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
	static ssize_t (*call)(int, const void *, size_t, int);
	int domain = 0;
	socklen_t length = sizeof(domain);

	if (!call)
		call = dlsym(RTLD_NEXT, "send");
	if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) &&
	    domain == AF_NETLINK)
		step("netlink");
	return call(fd, bytes, size, flags);
}

int unlink(const char *path)
{
	static int (*call)(const char *);

	if (!call)
		call = dlsym(RTLD_NEXT, "unlink");
	if (!strncmp(path, "/sys/fs/bpf/", 12))
		step("unpin");
	return call(path);
}

static int changes(long command)
{
	switch (command) {
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_OBJ_PIN:
	case BPF_LINK_CREATE:
	case BPF_LINK_UPDATE:
	case BPF_LINK_DETACH:
		return 1;
	default:
		return 0;
	}
}

long syscall(long number, ...)
{
	static system_call call;
	long a[6];
	va_list list;
	int index;

	va_start(list, number);
	for (index = 0; index < 6; index++)
		a[index] = va_arg(list, long);
	va_end(list);
	if (!call)
		call = (system_call)dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf && changes(a[0]))
		step("bpf");
	return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
