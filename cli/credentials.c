/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What a byte takes at most, escaped for JSON or a URL. */
#define ESCAPED_MAX 6

/* Percent-encodes all but RFC 3986's unreserved characters. */
static void encode(const char *text, char *out, size_t cap)
{
  size_t n = 0;
  for (; *text && n + 4 <= cap; text++) {
    const unsigned char c = (unsigned char)*text;
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
    n += (size_t)snprintf(out + n, cap - n, plain ? "%c" : "%%%02X", c);
  }
  out[n < cap ? n : cap - 1] = 0;
}

/* Escapes what JSON strings can't hold. */
static void escape(const char *text, char *out, size_t cap)
{
  size_t n = 0;
  for (; *text && n + 8 <= cap; text++) {
    const unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      n += (size_t)snprintf(out + n, cap - n, "\\%c", c);
    else
      n += (size_t)snprintf(out + n, cap - n, c < 0x20 ? "\\u%04x" : "%c", c);
  }
  out[n] = 0;
}

static void host_text(const options *o, char *out, size_t cap)
{
  fzr_addr addr = o->public_ip4.family ? o->public_ip4 : o->public_ip6;
  addr.port = o->listen_port;
  fzr_addr_format(&addr, true, out, cap);
}

int credentials_format(const options *o, const char *secret, uint64_t unix_now, const char *salt, char *out,
                       size_t cap)
{
  char username[SALT_MAX + 24], password[FZR_STAMP_PASSWORD_LEN + 1], quoted[ESCAPED_MAX * (SALT_MAX + 24)],
      host[FZR_ADDR_TEXT_MAX + 16];
  const uint64_t expiry = unix_now + o->ttl_seconds;
  int n;
  fzr_auth_stamp_password(secret, expiry, (const uint8_t *)salt, strlen(salt), password, sizeof password);
  if ((size_t)snprintf(username, sizeof username, "%llu:%s", (unsigned long long)expiry, salt) >=
      sizeof username)
    return -1;
  if (strcmp(o->credentials_format, "json") == 0) {
    escape(username, quoted, sizeof quoted);
    n = snprintf(out, cap,
                 "{\"username\":\"%s\",\"password\":\"%s\",\"realm\":\"firezone\",\"expires_at\":%llu}\n",
                 quoted, password, (unsigned long long)expiry);
  } else if (strcmp(o->credentials_format, "url") == 0) {
    char credential[4 * sizeof password];
    encode(username, quoted, sizeof quoted);
    encode(password, credential, sizeof credential);
    host_text(o, host, sizeof host);
    n = snprintf(out, cap, "turn:%s?transport=udp&username=%s&credential=%s\n", host, quoted, credential);
  } else {
    n = snprintf(out, cap, "username: %s\npassword: %s\nrealm:    firezone\n", username, password);
  }
  return n >= 0 && (size_t)n < cap ? n : -1;
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
