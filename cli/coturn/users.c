/* SPDX-License-Identifier: Apache-2.0 */
/* Who may log in. */
#include "translation.h"

#include <stdlib.h>
#include <string.h>

#define FROM_DATABASE "docs/from-coturn.md says how it is made of coturn's database"

static bool is_open(const entry *e)
{
  return e && e->state == ENTRY_OPEN;
}

static bool ends_with_a_blank(const entry *e)
{
  const size_t len = strlen(e->line.value);
  return len && strchr(" \t", e->line.value[len - 1]);
}

/* What blanks and a # behind it mean is often not what was meant. */
static void note_oddity(translation *t, const entry *e)
{
  if (strstr(e->line.value, " #"))
    put_look(t,
             "line %u, %s: the # and what follows is a part of the value, for coturn knows no comments there",
             e->line.number, e->key->name);
  else if (ends_with_a_blank(e))
    put_look(t, "line %u, %s: coturn takes the blanks at its end as a part of it, and here they are not",
             e->line.number, e->key->name);
}

static void put_secrets(translation *t)
{
  static const char *const names[] = {"auth-secret", "auth-second-secret"};
  unsigned n = 0;
  for (entry *e = NULL; (e = entry_next(t, "static-auth-secret", e));) {
    if (!is_open(e))
      continue;
    if (n == 2) {
      entry_say(t, e, ENTRY_LOOK, "there are two secrets at most, those of the first lines");
      continue;
    }
    note_oddity(t, e);
    n += put_option(t, e, names[n], e->line.value);
  }
  if (n)
    return;
  put_missing(t, "auth-secret", "...");
  put_look(t, "the secret is not in the file: set auth-secret; " FROM_DATABASE);
}

/* By name, which ends at the colon; those of one name in the order of their lines. */
static int compare_names(const entry *a, const entry *b)
{
  const size_t a_len = strcspn(a->line.value, ":"), b_len = strcspn(b->line.value, ":");
  const int order = memcmp(a->line.value, b->line.value, a_len < b_len ? a_len : b_len);
  return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_users(const void *a, const void *b)
{
  const entry *const *one = a, *const *other = b;
  const int order = compare_names(*one, *other);
  return order ? order : (*one > *other) - (*one < *other);
}

/* The earlier of two lines for one name does not count. Sorted, for there may be very many. */
static void drop_earlier(translation *t)
{
  size_t n = 0;
  entry **users = calloc(t->count + 1, sizeof(entry *));
  if (!users) {
    t->out_of_memory = true;
    return;
  }
  for (entry *e = NULL; (e = entry_next(t, "user", e));)
    users[n++] = e;
  qsort(users, n, sizeof *users, compare_users);
  for (size_t i = 1; i < n; i++)
    if (compare_names(users[i - 1], users[i]) == 0)
      entry_say(t, users[i - 1], ENTRY_ALIKE, "that user is there again, and the last line counts");
  free(users);
}

static unsigned put_users(translation *t)
{
  unsigned n = 0;
  bool keys = false;
  drop_earlier(t);
  for (entry *e = NULL; (e = entry_next(t, "user", e));) {
    if (!is_open(e))
      continue;
    if (ends_with_a_blank(e)) {
      entry_say(t, e, ENTRY_LOOK,
                "this user is left out: to coturn the blanks at the end are a part of the password, and no "
                "user's can end so "
                "here; for another password add a line user = name:password");
      continue;
    }
    note_oddity(t, e);
    keys |= strstr(e->line.value, ":0x") != NULL;
    n += put_option(t, e, "user", e->line.value);
  }
  if (keys && !entry_of(t, "realm"))
    put_look(t, "a user is given by a key, which holds for one realm: set realm to the one that coturn had, "
                "the domain of the host");
  return n;
}

static void settle_database(translation *t, bool needed)
{
  static const char *const keys[] = {"userdb", "db"};
  for (unsigned i = 0; i < 2; i++)
    entry_say(
        t, entry_of(t, keys[i]), needed ? ENTRY_LOOK : ENTRY_ALIKE,
        "databases are not read%s: docs/from-coturn.md says how a users file and secrets are made of one",
        needed ? "" : "; if there are users or secrets in it beside those of the file");
}

/* Those that are not settled yet stand beside a secret. */
static void drop_users(translation *t)
{
  size_t n = 0;
  drop_earlier(t);
  for (entry *e = NULL; (e = entry_next(t, "user", e));) {
    n += is_open(e);
    entry_say(t, e, ENTRY_ALIKE, "users do not count beside a secret, as coturn has it");
  }
  if (n)
    put_look(
        t,
        "%zu user%s left out, for coturn lets nobody but the secret's users in where there is one: if %s to "
        "log in, set auth = rest,static and a line user = name:password for each",
        n, n == 1 ? " is" : "s are", n == 1 ? "he is" : "they are");
}

void translate_users(translation *t)
{
  entry *lt = entry_of(t, "lt-cred-mech"), *rest = entry_of(t, "use-auth-secret"),
        *none = entry_of(t, "no-auth");
  entry *stun_only = entry_of(t, "stun-only"), *quota = entry_of(t, "user-quota"),
        *realm = entry_of(t, "realm");
  const bool by_secret = rest || entry_next(t, "static-auth-secret", NULL);
  const bool by_user = !by_secret && (lt || entry_next(t, "user", NULL));
  static const char *const logging_in[] = {"lt-cred-mech", "use-auth-secret", "static-auth-secret",
                                           "user",         "user-quota",      "no-auth"};
  unsigned users = 0;
  if (is_open(realm))
    put_option(t, realm, "realm", realm->line.value);
  if (stun_only || (!by_secret && !by_user)) {
    entry_say(t, stun_only, ENTRY_DONE, "nobody can log in where there is neither a secret nor a user");
    if (!stun_only)
      put_look(t, "coturn relays for everybody who asks, without credentials, which this relay never does: "
                  "choose auth = rest with "
                  "auth-secret, or auth = static with users");
  } else if (by_secret) {
    put_option(t, rest, "auth", "rest");
    put_secrets(t);
    drop_users(t);
  } else {
    put_option(t, lt, "auth", "static");
    users = put_users(t);
    if (!users) {
      put_missing(t, "users-file", "/etc/firezone-relay.users");
      put_look(t, "there is no user in the file: set users-file; " FROM_DATABASE);
    }
  }
  settle_database(t, by_user && !users && !stun_only);
  for (size_t i = 0; stun_only && i < sizeof logging_in / sizeof *logging_in; i++)
    for (entry *e = NULL; (e = entry_next(t, logging_in[i], e));)
      entry_say(t, e, ENTRY_ALIKE, "nobody logs in, for stun-only is on");
  entry_say(t, lt, by_secret ? ENTRY_ALIKE : ENTRY_DONE, "%s",
            by_secret ? "auth = rest, which coturn has under this name, too" : "auth");
  entry_say(t, none, ENTRY_LOOK, "clients always log in");
  uint64_t most;
  if (is_open(quota)) {
    if (entry_number(t, quota, 0, UINT32_MAX, "max-allocations-per-user is left at 64", &most))
      put_number(t, quota, "max-allocations-per-user", most);
  } else if (!quota && !stun_only && (by_secret || by_user)) {
    put_comment(
        t, "coturn has no limit; without this line it is 64, so that one login does not take every port.");
    put_option(t, NULL, "max-allocations-per-user", "0");
  }
}
