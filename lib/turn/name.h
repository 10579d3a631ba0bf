/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users, in pieces of a pool: most need one or two. */
#ifndef FZRI_NAME_H
#define FZRI_NAME_H

#include "../base/pool.h"

#include "firezone_relay/engine.h"

void fzri_names_init(fzri_pool *names, fzri_mem *mem);

/* Keeps the |len| bytes at |name|, of which only the first FZR_USER_NAME_MAX count. Returns what it is found by, or FZRI_POOL_NONE without
 * memory, or if it is empty. */
uint32_t fzri_name_keep(fzri_pool *names, const uint8_t *name, size_t len);

/* Writes the name |index| (FZRI_POOL_NONE: none) to |out|. Returns its length. */
size_t fzri_name_read(const fzri_pool *names, uint32_t index, uint8_t out[FZR_USER_NAME_MAX]);

/* Forgets it. FZRI_POOL_NONE is allowed. */
void fzri_name_drop(fzri_pool *names, uint32_t index);

#endif
