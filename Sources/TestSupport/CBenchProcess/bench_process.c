#define _GNU_SOURCE
#include "bench_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
	const char *path;
	char *const *arguments;
	char *const *environment;
	int output;
	int errors;
	pid_t pid;
	int error;
	int is_done;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct request *pending;
static int starter_error;

/* In the child, between fork and exec: async-signal-safe calls only. */
static void become(const struct request *request, pid_t parent, int report)
{
	static const int defaults[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	sigset_t none;
	int input, error;

	for (unsigned i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		signal(defaults[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(127);
	input = open("/dev/null", O_RDONLY);
	if (input >= 0 && dup2(input, 0) == 0 &&
	    dup2(request->output, 1) == 1 && dup2(request->errors, 2) == 2) {
		if (input > 2)
			close(input);
		execve(request->path, request->arguments, request->environment);
	}
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static void start(struct request *request)
{
	int reader, writer, error = 0;
	pid_t parent = getpid();
	ssize_t size;

	request->error = bench_process_pipe(&reader, &writer);
	if (request->error)
		return;
	request->pid = fork();
	if (request->pid == 0)
		become(request, parent, writer);
	if (request->pid < 0)
		request->error = errno;
	close(writer);
	do
		size = read(reader, &error, sizeof(error));
	while (size < 0 && errno == EINTR);
	close(reader);
	/* The pipe closes by itself once exec has worked. */
	if (request->pid > 0 && size == sizeof(error)) {
		request->error = error;
		waitpid(request->pid, NULL, 0);
	}
}

static void *starter(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!pending)
			pthread_cond_wait(&changed, &lock);
		start(pending);
		pending->is_done = 1;
		pending = NULL;
		pthread_cond_broadcast(&changed);
	}
	return NULL;
}

static void make_starter(void)
{
	pthread_t thread;

	starter_error = pthread_create(&thread, NULL, starter, NULL);
	if (!starter_error)
		pthread_detach(thread);
}

int bench_process_start(const char *path, char *const arguments[],
			char *const environment[], int output, int errors,
			pid_t *pid)
{
	struct request request = {
		.path = path,
		.arguments = arguments,
		.environment = environment,
		.output = output,
		.errors = errors,
	};

	pthread_once(&once, make_starter);
	if (starter_error)
		return starter_error;
	pthread_mutex_lock(&turn);
	pthread_mutex_lock(&lock);
	pending = &request;
	pthread_cond_broadcast(&changed);
	while (!request.is_done)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&turn);
	*pid = request.pid;
	return request.error;
}

int bench_process_watch(pid_t pid)
{
	int descriptor = (int)syscall(SYS_pidfd_open, pid, 0);

	return descriptor < 0 ? -errno : descriptor;
}

int bench_process_pipe(int *reader, int *writer)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	*reader = ends[0];
	*writer = ends[1];
	return 0;
}
