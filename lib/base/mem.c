/* SPDX-License-Identifier: Apache-2.0 */
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *ctx, size_t size)
{
  (void)ctx;
  return malloc(size);
}

static void default_free(void *ctx, void *ptr, size_t size)
{
  (void)ctx;
  (void)size;
  free(ptr);
}

int fzri_config_copy(void *dst, size_t dst_size, const void *src, size_t min_size)
{
  size_t size;
  if (!src)
    return FZR_ERR_INVALID_ARGUMENT;
  memcpy(&size, src, sizeof size);
  if (size < min_size)
    return FZR_ERR_INVALID_ARGUMENT;
  const uint8_t *bytes = src;
  for (size_t i = dst_size; i < size; i++)
    if (bytes[i])
      return FZR_ERR_UNSUPPORTED;
  memcpy(dst, src, size < dst_size ? size : dst_size);
  return 0;
}

int fzri_mem_init(fzri_mem *mem, const fzr_mem *hooks)
{
  memset(mem, 0, sizeof *mem);
  if (!hooks) {
    mem->hooks.size = sizeof mem->hooks;
    mem->hooks.alloc = default_alloc;
    mem->hooks.free = default_free;
    return 0;
  }
  const int error = fzri_config_copy(&mem->hooks, sizeof mem->hooks, hooks, sizeof mem->hooks);
  if (error)
    return error;
  mem->hooks.size = sizeof mem->hooks;
  return mem->hooks.alloc && mem->hooks.free ? 0 : FZR_ERR_INVALID_ARGUMENT;
}

static void *count(fzri_mem *mem, void *ptr, size_t size)
{
  mem->used += ptr ? size : 0;
  return ptr;
}

void *fzri_mem_zalloc(fzri_mem *mem, size_t size)
{
  /* What calloc has fresh from the kernel is zero already: pages that nobody uses take no memory. */
  if (mem->hooks.alloc == default_alloc)
    return count(mem, calloc(1, size), size);
  void *ptr = count(mem, mem->hooks.alloc(mem->hooks.ctx, size), size);
  return ptr ? memset(ptr, 0, size) : NULL;
}

void *fzri_mem_calloc(fzri_mem *mem, size_t count, size_t size)
{
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes))
    return NULL;
  return fzri_mem_zalloc(mem, bytes);
}

void fzri_mem_free(fzri_mem *mem, void *ptr, size_t size)
{
  if (!ptr)
    return;
  mem->used -= size;
  mem->hooks.free(mem->hooks.ctx, ptr, size);
}

/* With room to begin and to end at a cache line, and before that for the address to give back. */
static size_t with_room(size_t size)
{
  return size + sizeof(uint8_t *) + 2 * (FZRI_CACHE_LINE - 1);
}

static void *lines_of(uint8_t *memory)
{
  if (!memory)
    return NULL;
  uint8_t *lines = memory + sizeof memory;
  lines += -(uintptr_t)lines & (FZRI_CACHE_LINE - 1);
  memcpy(lines - sizeof memory, &memory, sizeof memory);
  return lines;
}

void *fzri_mem_zalloc_lines(fzri_mem *mem, size_t size)
{
  return lines_of(fzri_mem_zalloc(mem, with_room(size)));
}

void *fzri_mem_alloc_lines(fzri_mem *mem, size_t size)
{
  const size_t room = with_room(size);
  return lines_of(count(mem, mem->hooks.alloc(mem->hooks.ctx, room), room));
}

void fzri_mem_free_lines(fzri_mem *mem, void *ptr, size_t size)
{
  uint8_t *memory;
  if (!ptr)
    return;
  memcpy(&memory, (uint8_t *)ptr - sizeof memory, sizeof memory);
  fzri_mem_free(mem, memory, with_room(size));
}
