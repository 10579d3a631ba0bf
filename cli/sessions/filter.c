/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions/filter.h"

#include "common/decimal.h"
#include "common/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *session_filter_parse(const char *user, const char *client, session_filter *out)
{
  memset(out, 0, sizeof *out);
  if (user) {
    const size_t len = strlen(user);
    if (!len)
      return "user: expected a name";
    out->has_user = true;
    out->user_len = len < sizeof out->user ? len : sizeof out->user;
    memcpy(out->user, user, out->user_len);
  }
  if (client && fzr_addr_parse(client, &out->client))
    return "client: expected an address, such as 192.0.2.7 or [2001:db8::7]:4000";
  out->has_client = client;
  return NULL;
}

const char *session_limit_parse(const char *text, uint64_t *out)
{
  *out = SESSION_LIMIT;
  return !text || (decimal_read(text, strlen(text), UINT32_MAX, out) && *out)
             ? NULL
             : "limit: expected a number from 1 on";
}

static bool is_client(const fzr_addr *wanted, const fzr_addr *addr)
{
  return addr->family == wanted->family && memcmp(addr->ip, wanted->ip, sizeof addr->ip) == 0 &&
         (!wanted->port || addr->port == wanted->port);
}

bool session_filter_matches(const session_filter *f, const fzr_allocation *a)
{
  if (f->has_user && (a->user_name_len != f->user_len || memcmp(a->user_name, f->user, f->user_len) != 0))
    return false;
  return !f->has_client || is_client(&f->client, &a->client);
}

void session_id_write(uint64_t id, char out[SESSION_ID_TEXT])
{
  snprintf(out, SESSION_ID_TEXT, "%016" PRIx64, id);
}

bool session_id_read(const char *text, uint64_t *out)
{
  uint64_t id = 0;
  if (strlen(text) != SESSION_ID_TEXT - 1)
    return false;
  for (; *text; text++) {
    const int digit = hex_digit(*text);
    if (digit < 0)
      return false;
    id = id << 4 | (unsigned)digit;
  }
  *out = id;
  return id != 0;
}
