/* SPDX-License-Identifier: Apache-2.0 */
#include "probe_command.h"

#include "common/clock.h"
#include "logins.h"
#include "probe/run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* How long credentials last that are to show that a clock is off: that of the second client, and those of another try. */
#define SOON_SECONDS 300u
#define FAR_SECONDS  316224000u /* ten years */

typedef struct source {
  const options *o;
  unsigned scheme; /* AUTH_STAMP or AUTH_REST: of the secret; AUTH_STATIC: of a user; 0: they are given */
  logins *logins;
  char password[SECRET_MAX + 1]; /* that is given */
  char whom[24];                 /* whom they are made for, if nobody says */
} source;

static int complain(int status, const char *error)
{
  fprintf(stderr, "firezone-relay: probe: %s\n", error);
  return status;
}

/* A secret beats users, of whom there are many. */
static unsigned scheme_of(const options *o)
{
  const bool has_secret = o->auth_secret_file || o->auth_secret;
  if (o->username)
    return 0;
  if (o->auth & AUTH_STATIC && (o->user || !has_secret))
    return AUTH_STATIC;
  return o->auth & AUTH_STAMP ? AUTH_STAMP : AUTH_REST;
}

/* What the options name is read. Returns 0 or the exit status, after it has said why. */
static int read_source(const options *o, source *s)
{
  static notes found;
  static options part;
  char error[OPTIONS_ERROR_MAX];
  enum secret_source origin;
  const secret_place place = {o->password_file, o->password, "--password-file", "PROBE_PASSWORD", false};
  int status = 0;
  *s = (source){.o = o, .scheme = scheme_of(o)};
  if (s->scheme == 0)
    status = secret_read(&place, s->password, &origin, error) ? EXIT_USAGE : 0;
  part = *o;
  part.auth = s->scheme;
  if (s->scheme)
    status = logins_read(&part, NULL, &s->logins, &found, error);
  if (!status && s->scheme == AUTH_STATIC && !users_find(&s->logins->users, o->user)) {
    snprintf(error, sizeof error, "--user: there is no '%.100s': expected the name of a user", o->user);
    status = EXIT_USAGE;
  }
  for (size_t i = 0; i < found.count; i++)
    fprintf(stderr, "firezone-relay: warning: %s\n", found.lines[i]);
  return status ? complain(status, error) : 0;
}

static void of_user(const source *s, probe_login *out)
{
  const fzr_user *user = users_find(&s->logins->users, s->o->user);
  snprintf(out->username, sizeof out->username, "%s", user->username);
  snprintf(out->password, sizeof out->password, "%s", user->password ? user->password : "");
  out->has_key = !user->password;
  if (out->has_key)
    memcpy(out->key, user->key, sizeof out->key);
}

/* Each kind is another user's, so that none ends another's allocation. */
static bool of_secret(const source *s, enum probe_login_kind kind, probe_login *out)
{
  static const char *const suffixes[] = {"", "-2", "-3", "-4"};
  const uint64_t ttl = s->o->ttl_seconds, now = unix_now_ns() / FZR_SECOND;
  const uint64_t lasts = kind == PROBE_LOGIN_FAR                            ? FAR_SECONDS
                         : kind == PROBE_LOGIN_SECOND && ttl > SOON_SECONDS ? SOON_SECONDS
                                                                            : ttl;
  const bool stamp = (s->scheme == AUTH_STAMP) != (kind == PROBE_LOGIN_OTHER);
  const char *secret = s->logins->secrets.first;
  char whom[SALT_MAX + 8];
  snprintf(whom, sizeof whom, "%s%s", s->o->user ? s->o->user : s->whom, suffixes[kind]);
  const int len = snprintf(out->username, sizeof out->username, "%" PRIu64 ":%s", now + lasts, whom);
  if (len < 0 || (size_t)len >= sizeof out->username)
    return false;
  if (stamp)
    return fzr_auth_stamp_password(secret, now + lasts, (const uint8_t *)whom, strlen(whom), out->password,
                                   sizeof out->password) > 0;
  return fzr_auth_rest_password(secret, (const uint8_t *)out->username, (size_t)len, out->password,
                                sizeof out->password) > 0;
}

static bool on_login(void *ctx, enum probe_login_kind kind, probe_login *out)
{
  const source *s = ctx;
  memset(out, 0, sizeof *out);
  if (s->scheme & (AUTH_STAMP | AUTH_REST))
    return of_secret(s, kind, out);
  if (kind != PROBE_LOGIN_PLAIN)
    return false;
  if (s->scheme == AUTH_STATIC) {
    of_user(s, out);
  } else {
    snprintf(out->username, sizeof out->username, "%s", s->o->username);
    snprintf(out->password, sizeof out->password, "%s", s->password);
  }
  return true;
}

int probe_main(const options *o)
{
  static source s;
  uint64_t random = 0;
  const int status = o->probe_target.stun_only ? 0 : read_source(o, &s);
  if (status)
    return status;
  if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
    return complain(EXIT_FAILURE, "no random bytes to be had");
  snprintf(s.whom, sizeof s.whom, "probe%08x", (unsigned)random);
  signal(SIGPIPE, SIG_IGN);
  const probe_settings settings = {.name = o->probe_url,
                                   .target = o->probe_target,
                                   .ca_file = o->ca_file,
                                   .insecure = o->insecure,
                                   .realm = o->realm_given ? o->realm : NULL,
                                   .is_made = s.scheme & (AUTH_STAMP | AUTH_REST),
                                   .other = s.scheme == AUTH_STAMP ? "rest" : "stamp",
                                   .ctx = &s,
                                   .login = on_login};
  const int result = probe_run(&settings, stdout);
  logins_drop(s.logins);
  explicit_bzero(&s, sizeof s);
  return result;
}
