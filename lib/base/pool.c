/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include "crypto.h"

#include <string.h>

void fzri_pool_init(fzri_pool *pool, fzri_mem *mem, uint32_t object_size)
{
  FZRI_ASSERT(object_size >= sizeof pool->free_head && object_size % 8 == 0);
  memset(pool, 0, sizeof *pool);
  pool->mem = mem;
  pool->object_size = object_size;
  pool->free_head = FZRI_POOL_NONE;
}

static size_t block_bytes(const fzri_pool *pool)
{
  return (size_t)pool->object_size * FZRI_POOL_BLOCK;
}

void fzri_pool_free(fzri_pool *pool)
{
  if (!pool->mem)
    return;
  for (uint32_t i = 0; i < pool->block_count; i++) {
    fzri_wipe(pool->blocks[i], block_bytes(pool)); /* objects in use may hold keys */
    fzri_mem_free_lines(pool->mem, pool->blocks[i], block_bytes(pool));
  }
  fzri_mem_free(pool->mem, pool->blocks, pool->block_cap * sizeof *pool->blocks);
  memset(pool, 0, sizeof *pool);
}

/* Makes room for one more pointer to a block. */
static bool grow_directory(fzri_pool *pool)
{
  if (pool->block_count < pool->block_cap)
    return true;
  const uint32_t cap = pool->block_cap ? pool->block_cap * 2 : 4;
  uint8_t **blocks = fzri_mem_calloc(pool->mem, cap, sizeof *blocks);
  if (!blocks)
    return false;
  if (pool->blocks)
    memcpy(blocks, pool->blocks, pool->block_count * sizeof *blocks);
  fzri_mem_free(pool->mem, pool->blocks, pool->block_cap * sizeof *blocks);
  pool->blocks = blocks;
  pool->block_cap = cap;
  return true;
}

static bool add_block(fzri_pool *pool)
{
  if (!grow_directory(pool))
    return false;
  uint8_t *block = fzri_mem_zalloc_lines(pool->mem, block_bytes(pool));
  if (!block)
    return false;
  pool->blocks[pool->block_count++] = block;
  return true;
}

bool fzri_pool_expect(fzri_pool *pool, uint32_t count)
{
  const uint64_t blocks = ((uint64_t)count + FZRI_POOL_BLOCK - 1) >> FZRI_POOL_BLOCK_SHIFT;
  while (pool->block_count < blocks) {
    if (!add_block(pool))
      return false;
    memset(pool->blocks[pool->block_count - 1], 0,
           block_bytes(pool)); /* what is zero already may not be there yet */
  }
  return true;
}

void *fzri_pool_take(fzri_pool *pool, uint32_t *index)
{
  void *object;
  if (pool->free_head != FZRI_POOL_NONE) {
    *index = pool->free_head;
    object = fzri_pool_at(pool, *index);
    memcpy(&pool->free_head, object, sizeof pool->free_head);
  } else {
    /* Twice an index has to fit: it names a flow. */
    if (pool->fresh >= INT32_MAX)
      return NULL;
    if (pool->fresh >> FZRI_POOL_BLOCK_SHIFT >= pool->block_count && !add_block(pool))
      return NULL;
    *index = pool->fresh++;
    object = fzri_pool_at(pool, *index);
  }
  pool->used++;
  return memset(object, 0, pool->object_size);
}

void fzri_pool_give(fzri_pool *pool, uint32_t index)
{
  FZRI_ASSERT(pool->used > 0 && index != pool->free_head);
  uint8_t *object = fzri_pool_at(pool, index);
  memset(object, 0, pool->object_size);
  memcpy(object, &pool->free_head, sizeof pool->free_head);
  pool->free_head = index;
  pool->used--;
}
