/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of one size, named by 32-bit indices, at addresses that never move: blocks of 128 objects, which begin at a cache line;
 * freed objects are reused last in first out. */
#ifndef FZRI_POOL_H
#define FZRI_POOL_H

#include "precondition.h"
#include "mem.h"

#define FZRI_POOL_BLOCK_SHIFT 7
#define FZRI_POOL_BLOCK       (1u << FZRI_POOL_BLOCK_SHIFT)
#define FZRI_POOL_NONE        UINT32_MAX

typedef struct fzri_pool {
  uint8_t **blocks; /* where their first objects are */
  uint32_t block_count;
  uint32_t block_cap;
  uint32_t object_size;
  uint32_t
      free_head; /* index of the first free object, chained through their first 4 bytes; FZRI_POOL_NONE: none */
  uint32_t fresh; /* objects from here on were never used */
  uint32_t used;
  fzri_mem *mem;
} fzri_pool;

/* |object_size| is at least 4 and a multiple of 8. Takes no memory. */
void fzri_pool_init(fzri_pool *pool, fzri_mem *mem, uint32_t object_size);
/* Wipes and frees all memory, objects in use included. */
void fzri_pool_free(fzri_pool *pool);

/* Takes the memory of |count| objects in all, and touches it: the first that are taken do not wait for the system to find it. Returns
 * whether there was as much; what was taken stays. */
bool fzri_pool_expect(fzri_pool *pool, uint32_t count);

/* Takes an object, zeroed, into *|index|. Returns it, or NULL without memory. */
void *fzri_pool_take(fzri_pool *pool, uint32_t *index);
/* Gives object |index|, which is in use, back; its memory is wiped. */
void fzri_pool_give(fzri_pool *pool, uint32_t index);
/* One past the highest index ever taken: for walks over all. */
static inline uint32_t fzri_pool_end(const fzri_pool *pool)
{
  return pool->fresh;
}

/* Object |index|, which was taken. */
static inline void *fzri_pool_at(const fzri_pool *pool, uint32_t index)
{
  FZRI_ASSERT(index < pool->fresh);
  return pool->blocks[index >> FZRI_POOL_BLOCK_SHIFT] +
         (size_t)(index & (FZRI_POOL_BLOCK - 1)) * pool->object_size;
}

#endif
