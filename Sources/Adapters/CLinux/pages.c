#define _GNU_SOURCE
#include "include/pages.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int release_object(struct dl_phdr_info *info, size_t size, void *context)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)context;
	for (int index = 0; index < info->dlpi_phnum; index++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[index];
		uintptr_t start, end;

		if (header->p_type != PT_LOAD || (header->p_flags & PF_W))
			continue;
		/* Whole pages of the segment only: its neighbours may be written. */
		start = (info->dlpi_addr + header->p_vaddr + page - 1) &
			~(page - 1);
		end = (info->dlpi_addr + header->p_vaddr + header->p_memsz) &
		      ~(page - 1);
		if (start < end)
			(void)madvise((void *)start, end - start,
				      MADV_DONTNEED);
	}
	return 0;
}

void genie_pages_release_clean(void)
{
	dl_iterate_phdr(release_object, NULL);
}
