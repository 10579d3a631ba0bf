/* SPDX-License-Identifier: Apache-2.0 */
#include "static.h"

#include "key.h"

#include "../base/bytes.h"

#include <string.h>

#define MOST_USERS (UINT32_MAX / 4)

/* The order of the table: by length, then by bytes. */
static int compare(const fzri_static_user *row, const void *name, size_t len)
{
  if (row->len != len)
    return row->len < len ? -1 : 1;
  return memcmp(row->name, name, len);
}

static bool is_before(const fzri_static_user *a, const fzri_static_user *b)
{
  return compare(a, b->name, b->len) < 0;
}

/* Lets rows[at] sink to where no row below it is larger: the heap of |count| rows was in order but for it. */
static void sink(fzri_static_user *rows, size_t at, size_t count)
{
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && is_before(&rows[child], &rows[child + 1]))
      child++;
    if (!is_before(&rows[at], &rows[child]))
      return;
    const fzri_static_user row = rows[at];
    rows[at] = rows[child];
    rows[child] = row;
  }
}

/* A heap sort: qsort of the C library may take memory that is not the application's. */
static void sort(fzri_static_user *rows, size_t count)
{
  for (size_t i = count / 2; i-- > 0;)
    sink(rows, i, count);
  for (size_t end = count; end-- > 1;) {
    const fzri_static_user row = rows[0];
    rows[0] = rows[end];
    rows[end] = row;
    sink(rows, 0, end);
  }
}

/* The bytes that all names take together. Returns 0 or FZR_ERR_CONFIG_AUTH. */
static int measure(const fzr_user *from, size_t count, size_t *total)
{
  *total = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t len = from[i].username ? strlen(from[i].username) : 0;
    const bool has_one = from[i].password ? *from[i].password && !from[i].key : from[i].key != NULL;
    if (!len || len > FZRI_USERNAME_MAX || !has_one || __builtin_add_overflow(*total, len, total))
      return FZR_ERR_CONFIG_AUTH;
  }
  return 0;
}

static void make_keys(fzri_static_user *row, const char *realm, const fzr_user *from)
{
  const uint8_t *name = (const uint8_t *)row->name;
  row->md5_only = from->key;
  if (from->key)
    memcpy(row->key, from->key, sizeof row->key);
  else {
    fzr_auth_long_term_key(FZR_PASSWORD_MD5, name, row->len, realm, from->password, row->key);
    fzr_auth_long_term_key(FZR_PASSWORD_SHA256, name, row->len, realm, from->password, row->sha256);
  }
  fzr_auth_userhash(name, row->len, realm, row->userhash);
}

static void fill(fzri_static_users *users, const char *realm, const fzr_user *from)
{
  char *at = users->names;
  for (size_t i = 0; i < users->count; i++) {
    fzri_static_user *row = &users->rows[i];
    row->name = at;
    row->len = (uint32_t)strlen(from[i].username);
    /* Counted, not terminated. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
    memcpy(at, from[i].username, row->len);
    make_keys(row, realm, &from[i]);
    users->md5_only |= row->md5_only;
    at += row->len;
  }
}

/* The slot of |userhash|: where it is, or where it would be. It is as good as a random number already. */
static uint32_t *find_slot(const fzri_static_users *users, const uint8_t *userhash)
{
  uint32_t at = fzri_get32(userhash);
  for (;; at++) {
    uint32_t *slot = &users->by_userhash[at & (users->slots - 1)];
    if (!*slot || memcmp(users->rows[*slot - 1].userhash, userhash, FZR_STUN_USERHASH_LEN) == 0)
      return slot;
  }
}

static void enter_userhashes(fzri_static_users *users)
{
  for (size_t i = 0; i < users->count; i++)
    *find_slot(users, users->rows[i].userhash) = (uint32_t)i + 1;
}

static bool has_a_name_twice(const fzri_static_users *users)
{
  for (size_t i = 1; i < users->count; i++)
    if (!is_before(&users->rows[i - 1], &users->rows[i]))
      return true;
  return false;
}

int fzri_static_init(fzri_static_users *users, fzri_mem *mem, const char *realm, const fzr_user *from,
                     size_t count)
{
  *users = (fzri_static_users){0};
  if (!count)
    return 0;
  size_t names_len;
  const int error = measure(from, count, &names_len);
  if (error)
    return error;
  if (count > MOST_USERS)
    return FZR_ERR_NO_MEMORY;
  users->slots = 2;
  while (users->slots < 2 * count)
    users->slots *= 2;
  users->by_userhash = fzri_mem_calloc(mem, users->slots, sizeof *users->by_userhash);
  users->rows = fzri_mem_calloc(mem, count, sizeof *users->rows);
  users->count = users->rows ? count : 0;
  users->names = fzri_mem_zalloc(mem, names_len);
  users->names_len = users->names ? names_len : 0;
  if (!users->rows || !users->names || !users->by_userhash) {
    fzri_static_free(users, mem);
    return FZR_ERR_NO_MEMORY;
  }
  fill(users, realm, from);
  sort(users->rows, count);
  if (has_a_name_twice(users)) {
    fzri_static_free(users, mem);
    return FZR_ERR_CONFIG_AUTH;
  }
  enter_userhashes(users);
  return 0;
}

void fzri_static_free(fzri_static_users *users, fzri_mem *mem)
{
  if (users->rows)
    fzri_wipe(users->rows, users->count * sizeof *users->rows);
  fzri_mem_free(mem, users->rows, users->count * sizeof *users->rows);
  fzri_mem_free(mem, users->names, users->names_len);
  if (users->by_userhash)
    fzri_mem_free(mem, users->by_userhash, users->slots * sizeof *users->by_userhash);
  *users = (fzri_static_users){0};
}

/* The key of |row|, if it has one by |algorithm|. */
static enum fzr_auth_result take_key(const fzri_static_user *row, uint8_t algorithm, fzr_auth_key *out)
{
  if (row->md5_only && algorithm != FZR_PASSWORD_MD5)
    return FZR_AUTH_UNKNOWN;
  out->algorithm = algorithm;
  out->key_len = (uint8_t)fzri_key_len(algorithm);
  memcpy(out->key, algorithm == FZR_PASSWORD_MD5 ? row->key : row->sha256, out->key_len);
  out->expires = FZR_NO_EXPIRY;
  return FZR_AUTH_OK;
}

enum fzr_auth_result fzri_static_lookup(const fzri_static_users *users, const uint8_t *name, size_t len,
                                        uint8_t algorithm, fzr_auth_key *out)
{
  size_t low = 0, high = users->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const fzri_static_user *row = &users->rows[middle];
    const int order = compare(row, name, len);
    if (order == 0)
      return take_key(row, algorithm, out);
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return FZR_AUTH_UNKNOWN;
}

fzri_slice fzri_static_resolve(const fzri_static_users *users, const uint8_t userhash[FZR_STUN_USERHASH_LEN])
{
  const uint32_t place = users->slots ? *find_slot(users, userhash) : 0;
  if (!place)
    return (fzri_slice){NULL, 0};
  return (fzri_slice){users->rows[place - 1].name, users->rows[place - 1].len};
}
