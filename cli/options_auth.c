/* SPDX-License-Identifier: Apache-2.0 */
/* The options of who may log in, and what follows from them. */
#include "options_internal.h"

#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REALM_MAX 127u /* bytes */

static const struct {
  const char *name;
  enum auth_schemes scheme;
} schemes[] = {{"stamp", AUTH_STAMP}, {"rest", AUTH_REST}, {"static", AUTH_STATIC}};

#define SCHEMES (sizeof schemes / sizeof *schemes)

const char *option_set_auth(options *o, const char *t)
{
  static const char expected[] = "stamp, rest, static, or rest,static";
  o->auth = 0;
  for (size_t len; *t; t += len + (t[len] == ',' && t[len + 1])) {
    size_t i = 0;
    len = strcspn(t, ",");
    while (i < SCHEMES && (strlen(schemes[i].name) != len || strncmp(schemes[i].name, t, len) != 0))
      i++;
    if (i == SCHEMES || (t[len] == ',' && !t[len + 1]))
      return expected;
    o->auth |= schemes[i].scheme;
  }
  if (o->auth & AUTH_STAMP && o->auth != AUTH_STAMP)
    return "stamp alone, or rest,static";
  return o->auth ? NULL : expected;
}

/* What stands in a quoted string (RFC 8489 section 14.9), so no quote and no backslash either. */
const char *option_set_realm(options *o, const char *t)
{
  const uint8_t *p = (const uint8_t *)t;
  size_t left = strlen(t);
  bool fits = left > 0 && left <= REALM_MAX && !strpbrk(t, "\"\\");
  uint32_t code;
  for (size_t len; fits && left && (len = utf8_read(p, left, &code)) > 0; left -= len) {
    fits = !utf8_is_unsafe(code);
    p += len;
  }
  return fits && !left ? value_text(&o->realm, t)
                       : "1 to 127 bytes of UTF-8 without quotes and backslashes, such as example.org";
}

const char *option_set_relay_mode(options *o, const char *t)
{
  const bool channels = strcmp(t, "channels") == 0;
  if (!channels && strcmp(t, "full") != 0)
    return "channels or full";
  o->relay_mode = channels ? RELAY_MODE_CHANNELS : RELAY_MODE_FULL;
  return NULL;
}

void options_schemes(const options *o, char *out, size_t cap)
{
  size_t len = 0;
  *out = '\0';
  for (size_t i = 0; i < SCHEMES && len < cap; i++)
    if (o->auth & schemes[i].scheme) {
      const int n = snprintf(out + len, cap - len, "%s%s", len ? "," : "", schemes[i].name);
      len += n > 0 ? (size_t)n : 0;
    }
}

bool options_replace(const options *o)
{
  return o->replace == REPLACE_YES || (o->replace == REPLACE_DEFAULT && o->auth == AUTH_STAMP);
}

static int complain(char *error, const char *text)
{
  snprintf(error, OPTIONS_ERROR_MAX, "%s", text);
  return -1;
}

/* What both the relay and its credentials need. */
static int check_sources(const options *o, char *error)
{
  if (o->auth & AUTH_STATIC && !o->users_file && !o->config.users)
    return complain(error, "--users-file: none is set: expected one with --auth static");
  if (o->auth & AUTH_REST && !o->auth_secret_file && !o->auth_secret)
    return complain(error,
                    "--auth-secret-file, AUTH_SECRET: none is set: expected the secret with --auth rest");
  return 0;
}

int options_check_auth(const options *o, char error[OPTIONS_ERROR_MAX])
{
  const bool has_second = o->auth_second_secret_file || o->auth_second_secret;
  if (o->token && o->auth != AUTH_STAMP)
    return complain(error,
                    "--auth: not with a portal, which hands out credentials of its own: expected stamp");
  if (o->token && has_second)
    return complain(
        error,
        "--auth-second-secret-file, AUTH_SECOND_SECRET: not with a portal, whose secret is one of two: "
        "expected --auth-secret-file or AUTH_SECRET alone");
  if (has_second && o->auth != AUTH_STATIC && !o->auth_secret_file && !o->auth_secret)
    return complain(error, "--auth-secret-file, AUTH_SECRET: none is set: expected the secret beside which "
                           "the second one is good");
  return check_sources(o, error);
}

int options_check_credentials(const options *o, bool has_ttl, char error[OPTIONS_ERROR_MAX])
{
  if (o->auth != AUTH_STAMP && o->auth != AUTH_REST && o->auth != AUTH_STATIC)
    return complain(error, "--auth: credentials are of one scheme: expected rest or static");
  if (o->salt && o->auth != AUTH_STAMP)
    return complain(error, "--salt: only names of --auth stamp have one: expected --user");
  if (o->user && o->auth == AUTH_STAMP)
    return complain(error, "--user: not of --auth stamp: expected --salt, which names the user there");
  if (has_ttl && o->auth == AUTH_STATIC)
    return complain(error, "--ttl: not of --auth static, whose users are always good: expected none");
  if (o->auth == AUTH_STATIC && !o->user)
    return complain(error, "--user: none is set: expected the name of a user in --users-file");
  return check_sources(o, error);
}
