/* SPDX-License-Identifier: Apache-2.0 */
#include "logins.h"

#include "common/strip.h"
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_secrets(const options *o)
{
  return o->auth & (AUTH_STAMP | AUTH_REST);
}

/* Notes what is wrong with the secret of |place|, but not so wrong that it could not be meant. */
static void look_at(const secret_place *place, enum secret_source source, const char *secret, notes *n)
{
  const char *odd = source == SECRET_NONE ? NULL : secret_oddity(secret);
  if (odd)
    note(n, "The secret of %s looks wrong: %s",
         source == SECRET_ENVIRONMENT ? place->variable : place->option, odd);
  if (source == SECRET_PUBLIC_FILE)
    note(n, "Everybody on this host can read %s, and make credentials with it: chmod o-r", place->file);
}

static int read_place(const secret_place *place, char out[SECRET_MAX + 1], bool *is_set, notes *n,
                      char *error)
{
  enum secret_source source;
  if (secret_read(place, out, &source, error))
    return EXIT_USAGE;
  look_at(place, source, out, n);
  *is_set = source != SECRET_NONE;
  return 0;
}

/* Whether the file |path| is not there, or a regular one with nothing but blanks in it: a pipe can be read just once. */
static bool is_empty(const char *path)
{
  char buffer[2 * SECRET_MAX];
  struct stat file;
  if (stat(path, &file))
    return errno == ENOENT;
  if (!S_ISREG(file.st_mode) || file.st_size >= (off_t)sizeof buffer)
    return false;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const ssize_t n = fd >= 0 ? read(fd, buffer, sizeof buffer) : -1;
  const bool empty = n >= 0 && strip(buffer, (size_t)n).len == 0;
  explicit_bzero(buffer, sizeof buffer);
  if (fd >= 0)
    close(fd);
  return empty;
}

/* The second one ends with its file, or what is in it: then the relay need not be started anew without the option. */
static int read_second(const secret_place *place, logins *l, notes *n, char *error)
{
  bool is_set;
  l->second_is_empty = place->file && is_empty(place->file);
  return l->second_is_empty ? 0 : read_place(place, l->secrets.second, &is_set, n, error);
}

/* Takes the secrets, or makes one. A portal takes a secret that it has seen before for the same relay, and tells no client that this one
 * knows nothing of what it did in an earlier life; two relays with one secret it takes for one. So it gets one of this life, beside which
 * the operator's stays good. */
static int read_secrets(const options *o, const logins *before, logins *l, notes *n, char *error)
{
  secret_pair *out = &l->secrets;
  secret_place first = secret_place_first(o), second = secret_place_second(o);
  bool is_set;
  first.anew = second.anew = before != NULL;
  int status = read_place(&first, o->token ? out->second : out->first, &is_set, n, error);
  if (!status && is_set && !o->token)
    status = read_second(&second, l, n, error);
  if (status)
    return status;
  const bool is_made = o->token || !*out->first;
  if (is_made && before)
    memcpy(out->first, before->secrets.first, sizeof out->first);
  else if (o->token ? secret_of_a_life(out->second, out->first) : is_made && secret_make(out->first)) {
    snprintf(error, OPTIONS_ERROR_MAX, "no random bytes to be had");
    return EXIT_FAILURE;
  }
  return 0;
}

static int read_users(const options *o, bool anew, logins *l, notes *n, char *error)
{
  const options_config *c = &o->config;
  const bool beside_rest = o->auth & AUTH_REST;
  if (!c->users && !o->users_file) { /* a file that names it no more */
    snprintf(error, OPTIONS_ERROR_MAX, "--users-file: none is set: expected one with --auth static");
    return -1;
  }
  return c->users ? users_read_text(c->path, c->users, c->users_len, beside_rest, &l->users, n, error)
                  : users_read(o->users_file, beside_rest, anew, &l->users, n, error);
}

static bool has_readable_secret(const options *o)
{
  return o->config.text.is_public && o->config.has_secret;
}

int logins_read(const options *o, const logins *before, logins **out, notes *n, char error[OPTIONS_ERROR_MAX])
{
  logins *l = calloc(1, sizeof *l);
  int status = 0;
  if (!l) {
    snprintf(error, OPTIONS_ERROR_MAX, "out of memory");
    return EXIT_FAILURE;
  }
  l->holders = 1;
  if (has_readable_secret(o))
    note(n, "Everybody on this host can read %.200s, and the secrets in it: chmod o-r", o->config.path);
  if (has_secrets(o))
    status = read_secrets(o, before, l, n, error);
  if (!status && o->auth & AUTH_STATIC && read_users(o, before != NULL, l, n, error))
    status = EXIT_USAGE;
  if (status) {
    logins_drop(l);
    return status;
  }
  *out = l;
  return 0;
}

bool logins_have_files(const options *o)
{
  return o->config.path || (has_secrets(o) && (o->auth_secret_file || o->auth_second_secret_file)) ||
         o->auth & AUTH_STATIC;
}

bool logins_are_nobodys(const options *o)
{
  return o->auth == AUTH_STAMP && !o->token && !o->auth_secret_file && !o->auth_secret;
}

void logins_await(logins *l, unsigned takers)
{
  atomic_store(&l->awaited, takers);
}

bool logins_taken(logins *l, bool well)
{
  if (!well)
    atomic_store(&l->refused, true);
  if (atomic_fetch_sub(&l->awaited, 1) != 1)
    return false;
  users_forget(&l->users);
  return !atomic_load(&l->refused);
}

void logins_log(const logins *l, unsigned schemes)
{
  if (schemes & AUTH_STATIC)
    log_info("relay", "SIGHUP: secrets and users are read anew; there %s %zu user%s",
             l->users.count == 1 ? "is" : "are", l->users.count, l->users.count == 1 ? "" : "s");
  else
    log_info("relay", "SIGHUP: secrets are read anew");
}

logins *logins_hold(logins *l)
{
  atomic_fetch_add(&l->holders, 1);
  return l;
}

void logins_drop(logins *l)
{
  if (!l || atomic_fetch_sub(&l->holders, 1) != 1)
    return;
  users_free(&l->users);
  explicit_bzero(&l->secrets, sizeof l->secrets);
  free(l);
}
