/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include "common/text.h"
#include "logins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What was made. */
typedef struct credentials {
  const char *username, *password;
  uint64_t expiry; /* FZR_NO_EXPIRY: none */
} credentials;

static void put_server(text_out *text, const fzr_addr *ip, uint16_t port, const char *transport)
{
  char host[FZR_ADDR_TEXT_MAX];
  fzr_addr addr = *ip;
  addr.port = port;
  fzr_addr_format(&addr, true, host, sizeof host);
  text_puts(text, "turn:");
  text_puts(text, host);
  text_puts(text, "?transport=");
  text_puts(text, transport);
}

static void put_url(text_out *text, const options *o, const credentials *c)
{
  put_server(text, o->public_ip4.family ? &o->public_ip4 : &o->public_ip6, o->listen_port, "udp");
  text_puts(text, "&username=");
  text_percent(text, c->username);
  text_puts(text, "&credential=");
  text_percent(text, c->password);
  text_puts(text, "\n");
}

/* |port| of each of the relay's addresses, none if it is 0; |before|: what stands in front of the first one. Returns what stands in
 * front of the next. */
static const char *put_servers(text_out *text, const char *before, const options *o, uint16_t port,
                               const char *transport)
{
  const fzr_addr *const ips[2] = {&o->public_ip4, &o->public_ip6};
  for (size_t i = 0; i < 2; i++) {
    if (!port || !ips[i]->family)
      continue;
    text_puts(text, before);
    put_server(text, ips[i], port, transport);
    before = "\",\"";
  }
  return before;
}

/* RTCConfiguration.iceServers of the W3C's WebRTC: URLs without credentials (RFC 7065), which stand beside them. Browsers ask at all of
 * them at once. For TLS it is a name: Firefox leaves addresses out. */
static void put_webrtc(text_out *text, const options *o, const credentials *c)
{
  const char *before = "[{\"urls\":[\"";
  before = put_servers(text, before, o, o->listen_port, "udp");
  before = put_servers(text, before, o, o->tcp_listen_port, "tcp");
  if (o->tls_listen_port && o->tls_name) {
    text_puts(text, before);
    text_puts(text, "turns:");
    text_puts(text, o->tls_name);
    text_puts(text, ":");
    text_uint(text, o->tls_listen_port);
    text_puts(text, "?transport=tcp");
  }
  text_puts(text, "\"],\"username\":");
  text_json(text, c->username);
  text_puts(text, ",\"credential\":");
  text_json(text, c->password);
  text_puts(text, "}]\n");
}

static void put_json(text_out *text, const options *o, const credentials *c)
{
  text_puts(text, "{\"username\":");
  text_json(text, c->username);
  text_puts(text, ",\"password\":");
  text_json(text, c->password);
  text_puts(text, ",\"realm\":");
  text_json(text, o->realm);
  if (c->expiry != FZR_NO_EXPIRY) {
    text_puts(text, ",\"expires_at\":");
    text_uint(text, c->expiry);
  }
  text_puts(text, "}\n");
}

static void put_lines(text_out *text, const options *o, const credentials *c)
{
  text_puts(text, "username: ");
  text_puts(text, c->username);
  text_puts(text, "\npassword: ");
  text_puts(text, c->password);
  text_puts(text, "\nrealm:    ");
  text_puts(text, o->realm);
  text_puts(text, "\n");
}

static int put(const options *o, const credentials *c, char *out, size_t cap)
{
  text_out text = text_out_of(out, cap);
  if (strcmp(o->credentials_format, "json") == 0)
    put_json(&text, o, c);
  else if (strcmp(o->credentials_format, "url") == 0)
    put_url(&text, o, c);
  else if (strcmp(o->credentials_format, "webrtc") == 0)
    put_webrtc(&text, o, c);
  else
    put_lines(&text, o, c);
  return text.overflow ? -1 : (int)text.len;
}

int credentials_format(const options *o, const char *secret, uint64_t unix_now, const char *whom, char *out,
                       size_t cap)
{
  char username[USERNAME_MAX + 1], password[FZR_STAMP_PASSWORD_LEN + 1];
  const uint64_t expiry = unix_now + o->ttl_seconds;
  const int len = snprintf(username, sizeof username, "%llu:%s", (unsigned long long)expiry, whom);
  if (len < 0 || (size_t)len >= sizeof username)
    return -1;
  if (o->auth == AUTH_REST)
    fzr_auth_rest_password(secret, (const uint8_t *)username, (size_t)len, password, sizeof password);
  else
    fzr_auth_stamp_password(secret, expiry, (const uint8_t *)whom, strlen(whom), password, sizeof password);
  return put(o, &(credentials){username, password, expiry}, out, cap);
}

static int complain(int status, const char *error)
{
  fprintf(stderr, "firezone-relay: %s\n", error);
  return status;
}

/* What follows the expiry, if nobody says. Returns 0 or -1. */
static int make_salt(char out[17])
{
  uint8_t random[16];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
    return -1;
  for (size_t i = 0; i < sizeof random; i++)
    out[i] = digits[random[i] & 63];
  out[sizeof random] = 0;
  return 0;
}

/* Credentials that the secret makes. Returns 0 or the exit status, after it has said why. */
static int make(const options *o, const logins *l, char *out, size_t cap)
{
  char salt[17];
  if (logins_are_nobodys(o))
    return complain(EXIT_USAGE, "--auth-secret-file, AUTH_SECRET: none is set: expected the relay's secret");
  if (make_salt(salt))
    return complain(EXIT_FAILURE, "no random bytes to be had");
  const char *whom = o->user ? o->user : o->salt ? o->salt : salt;
  if (credentials_format(o, l->secrets.first, (uint64_t)time(NULL), whom, out, cap) < 0)
    return complain(EXIT_FAILURE, "the credentials are too long");
  return 0;
}

/* Those of a user with a password of his own. Likewise. */
static int look_up(const options *o, const logins *l, char *out, size_t cap)
{
  char error[OPTIONS_ERROR_MAX];
  const fzr_user *user = users_find(&l->users, o->user);
  if (user && user->password) {
    if (put(o, &(credentials){user->username, user->password, FZR_NO_EXPIRY}, out, cap) < 0)
      return complain(EXIT_FAILURE, "the credentials are too long");
    return 0;
  }
  snprintf(error, sizeof error,
           user ? "--user: of '%.100s' '%.200s' has the key alone: expected a user with a password"
                : "--user: there is no '%.100s' in '%.200s': expected the name of a user",
           o->user, o->users_file);
  make_one_line(error);
  return complain(EXIT_USAGE, error);
}

int credentials_main(const options *o)
{
  static notes found;
  char error[OPTIONS_ERROR_MAX], out[8192];
  logins *l = NULL;
  int status = logins_read(o, NULL, &l, &found, error);
  if (status)
    return complain(status, error);
  for (size_t i = 0; i < found.count; i++)
    fprintf(stderr, "firezone-relay: warning: %s\n", found.lines[i]);
  if (found.more)
    fprintf(stderr, "firezone-relay: warning: %zu more such lines are left out\n", found.more);
  status = o->auth == AUTH_STATIC ? look_up(o, l, out, sizeof out) : make(o, l, out, sizeof out);
  logins_drop(l);
  if (!status && (fputs(out, stdout) < 0 || fflush(stdout)))
    status = EXIT_FAILURE;
  explicit_bzero(out, sizeof out);
  return status;
}
