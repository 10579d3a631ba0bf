/* SPDX-License-Identifier: Apache-2.0 */
#include "schemes.h"

#include "../base/crypto.h"

#include <string.h>

/* The order of the table: by length, then by bytes. */
static int compare(const char *stored, const uint8_t *name, size_t len)
{
  const size_t stored_len = strlen(stored);
  if (stored_len != len)
    return stored_len < len ? -1 : 1;
  return memcmp(stored, name, len);
}

/* Where |name| is, or would have to be inserted. */
static size_t position(const fzri_scheme *scheme, const uint8_t *name, size_t len, bool *found)
{
  size_t low = 0, high = scheme->user_count;
  *found = false;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = compare(scheme->users[middle].username, name, len);
    if (order == 0) {
      *found = true;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static int add_user(fzri_scheme *scheme, const fzr_user *user)
{
  bool found;
  if (!user->username || !*user->username || !user->password)
    return FZR_ERR_CONFIG_AUTH;
  const size_t len = strlen(user->username);
  const size_t at = position(scheme, (const uint8_t *)user->username, len, &found);
  if (found)
    return FZR_ERR_CONFIG_AUTH;
  char *name = fzri_mem_zalloc(scheme->mem, len + 1);
  if (!name)
    return FZR_ERR_NO_MEMORY;
  memcpy(name, user->username, len);
  memmove(scheme->users + at + 1, scheme->users + at, (scheme->user_count - at) * sizeof *scheme->users);
  scheme->users[at].username = name;
  fzr_auth_long_term_key((const uint8_t *)name, len, scheme->realm, user->password, scheme->users[at].key);
  scheme->user_count++;
  return 0;
}

int fzri_static_init(fzri_scheme *scheme, const fzr_config *config)
{
  if (!config->user_count || !config->users)
    return FZR_ERR_CONFIG_AUTH;
  scheme->users = fzri_mem_calloc(scheme->mem, config->user_count, sizeof *scheme->users);
  if (!scheme->users)
    return FZR_ERR_NO_MEMORY;
  scheme->user_room = config->user_count;
  for (size_t i = 0; i < config->user_count; i++) {
    const int error = add_user(scheme, &config->users[i]);
    if (error)
      return error;
  }
  return 0;
}

void fzri_static_free(fzri_scheme *scheme)
{
  for (size_t i = 0; i < scheme->user_count; i++)
    fzri_mem_free(scheme->mem, scheme->users[i].username, strlen(scheme->users[i].username) + 1);
  if (scheme->users)
    fzri_wipe(scheme->users, scheme->user_room * sizeof *scheme->users);
  fzri_mem_free(scheme->mem, scheme->users, scheme->user_room * sizeof *scheme->users);
  scheme->users = NULL;
  scheme->user_count = scheme->user_room = 0;
}

enum fzr_auth_result fzri_static_lookup(const fzri_scheme *scheme, const uint8_t *username, size_t len,
                                        fzr_auth_key *out)
{
  bool found;
  const size_t at = position(scheme, username, len, &found);
  if (!found)
    return FZR_AUTH_UNKNOWN;
  memcpy(out->key, scheme->users[at].key, sizeof out->key);
  out->expires = FZR_NO_EXPIRY;
  return FZR_AUTH_OK;
}
