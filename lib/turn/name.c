/* SPDX-License-Identifier: Apache-2.0 */
#include "name.h"

#include <string.h>

#define PIECE 19u

typedef struct piece {
  uint32_t next; /* FZRI_POOL_NONE: the last one. Of those that are free it is the pool's */
  uint8_t left;  /* bytes of the name from here on */
  uint8_t text[PIECE];
} piece;

void fzri_names_init(fzri_pool *names, fzri_mem *mem)
{
  fzri_pool_init(names, mem, sizeof(piece));
}

static size_t part_of(size_t left)
{
  return left < PIECE ? left : PIECE;
}

uint32_t fzri_name_keep(fzri_pool *names, const uint8_t *name, size_t len)
{
  uint32_t first = FZRI_POOL_NONE, index;
  piece *last = NULL;
  if (len > FZR_USER_NAME_MAX)
    len = FZR_USER_NAME_MAX;
  while (len) {
    piece *p = fzri_pool_take(names, &index);
    if (!p) {
      fzri_name_drop(names, first);
      return FZRI_POOL_NONE;
    }
    if (last)
      last->next = index;
    else
      first = index;
    const size_t n = part_of(len);
    p->next = FZRI_POOL_NONE;
    p->left = (uint8_t)len;
    memcpy(p->text, name, n);
    last = p;
    name += n;
    len -= n;
  }
  return first;
}

size_t fzri_name_read(const fzri_pool *names, uint32_t index, uint8_t out[FZR_USER_NAME_MAX])
{
  size_t len = 0;
  while (index != FZRI_POOL_NONE) {
    const piece *p = fzri_pool_at(names, index);
    const size_t n = part_of(p->left);
    memcpy(out + len, p->text, n);
    len += n;
    index = p->next;
  }
  return len;
}

void fzri_name_drop(fzri_pool *names, uint32_t index)
{
  while (index != FZRI_POOL_NONE) {
    const uint32_t next = ((const piece *)fzri_pool_at(names, index))->next;
    fzri_pool_give(names, index);
    index = next;
  }
}
