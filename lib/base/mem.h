/* SPDX-License-Identifier: Apache-2.0 */
/* Memory through the application's hooks, counted. */
#ifndef FZRI_MEM_H
#define FZRI_MEM_H

#include "firezone_relay/error.h"
#include "firezone_relay/types.h"

/* One owner's view of the hooks: every object that takes memory keeps a pointer to its owner's. */
typedef struct fzri_mem {
  fzr_mem hooks;
  uint64_t used; /* bytes taken and not given back */
} fzri_mem;

/* Copies |hooks| (NULL: malloc and free). Returns 0, FZR_ERR_INVALID_ARGUMENT (a hook is missing), or
 * FZR_ERR_UNSUPPORTED (size rule, see fzri_config_copy). */
int fzri_mem_init(fzri_mem *mem, const fzr_mem *hooks);

/* Returns |size| zeroed bytes, or NULL. */
void *fzri_mem_zalloc(fzri_mem *mem, size_t size);
/* Like it for |count| objects of |size| bytes; NULL also if the product overflows. */
void *fzri_mem_calloc(fzri_mem *mem, size_t count, size_t size);
/* Gives back |ptr| of |size| bytes; NULL is fine. */
void fzri_mem_free(fzri_mem *mem, void *ptr, size_t size);

/* The rule for structs that begin with `size`: copies what both sides know of |src| over the zeroed |dst| of |dst_size|
 * bytes. Returns 0, FZR_ERR_INVALID_ARGUMENT if |src| is NULL or its size below |min_size|, or FZR_ERR_UNSUPPORTED
 * if bytes past |dst_size| are not zero. */
int fzri_config_copy(void *dst, size_t dst_size, const void *src, size_t min_size);

/* What the data path writes must not share a cache line with what another shard's thread writes or reads. */
#define FZRI_CACHE_LINE 64ul

/* As fzri_mem_zalloc, of whole cache lines that nothing else is in. */
void *fzri_mem_zalloc_lines(fzri_mem *mem, size_t size);
/* The same, but the bytes are what they were: for large buffers, whose pages are taken when they are first written to. */
void *fzri_mem_alloc_lines(fzri_mem *mem, size_t size);
/* Gives that back; NULL is fine. */
void fzri_mem_free_lines(fzri_mem *mem, void *ptr, size_t size);

#endif
