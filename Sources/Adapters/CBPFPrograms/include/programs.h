#ifndef GENIE_PROGRAMS_H
#define GENIE_PROGRAMS_H

#include <stddef.h>

/* One compiled program, as it was embedded by the build. */
struct genie_bpf_object {
	const char *name;
	const unsigned char *bytes;
	const size_t *size;
};

/* All of them, sorted by name. */
const struct genie_bpf_object *genie_bpf_objects(size_t *count);

/*
 * From now on libbpf prints nothing: what it and the verifier have to say is
 * kept per thread. Call once before any other use of libbpf.
 */
void genie_libbpf_log_capture(void);

/* Forgets what this thread's calls said so far. */
void genie_libbpf_log_clear(void);

/* What this thread's calls said since, at most the last 8191 bytes. */
const char *genie_libbpf_log(void);

#endif
