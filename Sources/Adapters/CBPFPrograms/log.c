#include "programs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#define LOG_MAX 8192

static _Thread_local char log_text[LOG_MAX];
static _Thread_local size_t log_size;

/* Keeps the tail: the verifier's reason comes last. */
static void log_append(const char *text, size_t size)
{
	size_t room = LOG_MAX - 1;
	size_t kept;

	if (size > room) {
		text += size - room;
		size = room;
	}
	kept = log_size + size > room ? room - size : log_size;
	memmove(log_text, log_text + log_size - kept, kept);
	memcpy(log_text + kept, text, size);
	log_size = kept + size;
	log_text[log_size] = 0;
}

static int log_print(enum libbpf_print_level level, const char *format,
		     va_list arguments)
{
	static _Thread_local char line[64 * 1024];
	int size;

	if (level == LIBBPF_DEBUG)
		return 0;
	size = vsnprintf(line, sizeof(line), format, arguments);
	if (size <= 0)
		return size;
	log_append(line, strlen(line));
	return size;
}

void genie_libbpf_log_capture(void)
{
	libbpf_set_print(log_print);
}

void genie_libbpf_log_clear(void)
{
	log_size = 0;
	log_text[0] = 0;
}

const char *genie_libbpf_log(void)
{
	return log_text;
}
