/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include "common/text.h"
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void host_text(const options *o, char *out, size_t cap)
{
  fzr_addr addr = o->public_ip4.family ? o->public_ip4 : o->public_ip6;
  addr.port = o->listen_port;
  fzr_addr_format(&addr, true, out, cap);
}

static void put_url(text_out *text, const options *o, const char *username, const char *password)
{
  char host[FZR_ADDR_TEXT_MAX + 16];
  host_text(o, host, sizeof host);
  text_puts(text, "turn:");
  text_puts(text, host);
  text_puts(text, "?transport=udp&username=");
  text_percent(text, username);
  text_puts(text, "&credential=");
  text_percent(text, password);
  text_puts(text, "\n");
}

static void put_json(text_out *text, const char *username, const char *password, uint64_t expiry)
{
  text_puts(text, "{\"username\":");
  text_json(text, username);
  text_puts(text, ",\"password\":");
  text_json(text, password);
  text_puts(text, ",\"realm\":\"firezone\",\"expires_at\":");
  text_uint(text, expiry);
  text_puts(text, "}\n");
}

static void put_lines(text_out *text, const char *username, const char *password)
{
  text_puts(text, "username: ");
  text_puts(text, username);
  text_puts(text, "\npassword: ");
  text_puts(text, password);
  text_puts(text, "\nrealm:    firezone\n");
}

int credentials_format(const options *o, const char *secret, uint64_t unix_now, const char *salt, char *out,
                       size_t cap)
{
  char username[SALT_MAX + 24], password[FZR_STAMP_PASSWORD_LEN + 1];
  const uint64_t expiry = unix_now + o->ttl_seconds;
  text_out text = text_out_of(out, cap);
  fzr_auth_stamp_password(secret, expiry, (const uint8_t *)salt, strlen(salt), password, sizeof password);
  if ((size_t)snprintf(username, sizeof username, "%llu:%s", (unsigned long long)expiry, salt) >=
      sizeof username)
    return -1;
  if (strcmp(o->credentials_format, "json") == 0)
    put_json(&text, username, password, expiry);
  else if (strcmp(o->credentials_format, "url") == 0)
    put_url(&text, o, username, password);
  else
    put_lines(&text, username, password);
  return text.overflow ? -1 : (int)text.len;
}

int credentials_main(const options *o)
{
  char secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX], salt[17], out[4096];
  enum secret_source source;
  uint8_t random[16];
  if (secret_read(o, secret, &source, error)) {
    fprintf(stderr, "firezone-relay: %s\n", error);
    return EXIT_USAGE;
  }
  if (source == SECRET_FILE && secret_file_is_public(o->auth_secret_file))
    fprintf(stderr, "firezone-relay: warning: everybody on this host can read %s\n", o->auth_secret_file);
  if (secret_oddity(secret))
    fprintf(stderr, "firezone-relay: warning: the secret looks wrong: %s\n", secret_oddity(secret));
  if (source == SECRET_NONE) {
    fprintf(stderr,
            "firezone-relay: --auth-secret-file, AUTH_SECRET: none is set: expected the relay's secret\n");
    return EXIT_USAGE;
  }
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    fprintf(stderr, "firezone-relay: no random bytes to be had\n");
    return EXIT_FAILURE;
  }
  for (size_t i = 0; i < sizeof random; i++)
    salt[i] = digits[random[i] & 63];
  salt[sizeof random] = 0;
  const int n =
      credentials_format(o, secret, (uint64_t)time(NULL), o->salt ? o->salt : salt, out, sizeof out);
  explicit_bzero(secret, sizeof secret);
  if (n < 0) {
    fprintf(stderr, "firezone-relay: --salt: the value is too long: expected at most %d bytes\n", SALT_MAX);
    return EXIT_USAGE;
  }
  return fputs(out, stdout) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
