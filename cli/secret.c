/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include "common/strip.h"
#include "login_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <mbedtls/md.h>

/* A secret of the file of --config stands in its text. */
static bool is_in_file(const options *o, const char *value)
{
  const uintptr_t text = (uintptr_t)o->config.text.data, at = (uintptr_t)value;
  return value && text && at >= text && at - text < o->config.text.len;
}

secret_place secret_place_first(const options *o)
{
  return (secret_place){o->auth_secret_file, o->auth_secret, "--auth-secret-file",
                        is_in_file(o, o->auth_secret) ? "auth-secret in the file of --config" : "AUTH_SECRET",
                        false};
}

secret_place secret_place_second(const options *o)
{
  return (secret_place){o->auth_second_secret_file, o->auth_second_secret, "--auth-second-secret-file",
                        is_in_file(o, o->auth_second_secret) ? "auth-second-secret in the file of --config"
                                                             : "AUTH_SECOND_SECRET",
                        false};
}

static int check(const char *secret, const char *where, char *error)
{
  if (*secret)
    return 0;
  snprintf(error, OPTIONS_ERROR_MAX, "%s: the secret is empty: expected 1 to %d bytes", where, SECRET_MAX);
  return -1;
}

/* Copies what is meant of |text|; 0 bytes and what is too long are no secret. Returns whether it is one, or empty. */
static bool take(const char *text, size_t len, char out[SECRET_MAX + 1])
{
  const stripped s = strip(text, len);
  if (s.len > SECRET_MAX || memchr(s.text, 0, s.len))
    return false;
  memcpy(out, s.text, s.len);
  out[s.len] = 0;
  return true;
}

static int read_file(const secret_place *place, char *out, bool *is_public, char *error)
{
  const char *path = place->file;
  char buffer[2 * SECRET_MAX]; /* a file with more around it holds something else */
  const char *what = NULL;
  const int fd = login_file_open(path, place->anew, is_public, &what);
  size_t len = 0;
  ssize_t n = -1;
  while (fd >= 0 && len < sizeof buffer && (n = read(fd, buffer + len, sizeof buffer - len)) > 0)
    len += (size_t)n;
  if (fd < 0 || n < 0) {
    snprintf(error, OPTIONS_ERROR_MAX, "%s: can't read '%.200s' (%s): expected a file with the secret in it",
             place->option, path, fd < 0 ? what : strerror(errno));
    make_one_line(error);
    if (fd >= 0)
      close(fd);
    return -1;
  }
  close(fd);
  const bool taken = len < sizeof buffer && take(buffer, len, out);
  explicit_bzero(buffer, sizeof buffer);
  if (!taken) {
    snprintf(error, OPTIONS_ERROR_MAX, "%s: '%.200s' holds no secret: expected 1 to %d bytes of text",
             place->option, path, SECRET_MAX);
    make_one_line(error);
    return -1;
  }
  return check(out, place->option, error);
}

int secret_read(const secret_place *place, char out[SECRET_MAX + 1], enum secret_source *source,
                char error[OPTIONS_ERROR_MAX])
{
  out[0] = 0;
  *source = SECRET_NONE;
  if (place->file) {
    bool is_public = false;
    const int result = read_file(place, out, &is_public, error);
    *source = is_public ? SECRET_PUBLIC_FILE : SECRET_FILE;
    return result;
  }
  if (!place->value)
    return 0;
  *source = SECRET_ENVIRONMENT;
  if (!take(place->value, strlen(place->value), out)) {
    snprintf(error, OPTIONS_ERROR_MAX, "%s: the secret is too long: expected 1 to %d bytes", place->variable,
             SECRET_MAX);
    return -1;
  }
  return check(out, place->variable, error);
}

static void write_hex(const uint8_t *bytes, size_t len, char *out)
{
  for (size_t i = 0; i < len; i++)
    snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int secret_make(char out[SECRET_MAX + 1])
{
  uint8_t bytes[32];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
    return -1;
  write_hex(bytes, sizeof bytes, out);
  explicit_bzero(bytes, sizeof bytes);
  return 0;
}

int secret_of_a_life(const char *secret, char out[SECRET_MAX + 1])
{
  uint8_t bytes[32], mac[32];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
      mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const unsigned char *)secret,
                      strlen(secret), bytes, sizeof bytes, mac))
    return -1;
  write_hex(mac, sizeof mac, out);
  explicit_bzero(bytes, sizeof bytes);
  explicit_bzero(mac, sizeof mac);
  return 0;
}

const char *secret_oddity(const char *secret)
{
  const size_t len = strlen(secret);
  const char *odd = strip_oddity((stripped){secret, len});
  if (!odd && len && len < SECRET_LEAST)
    odd =
        "it has fewer than 16 bytes: whoever has one username with its password can guess it and make others";
  return odd;
}
