#ifndef CLIBBPF_SHIM_H
#define CLIBBPF_SHIM_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
/* statfs(2) and the number of the BPF file system, which Glibc's module lacks. */
#include <linux/magic.h>
#include <sys/vfs.h>

#endif
