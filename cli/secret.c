/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int check(const char *secret, const char *where, char *error)
{
  if (*secret)
    return 0;
  snprintf(error, OPTIONS_ERROR_MAX, "%s: the secret is empty: expected 1 to %d bytes", where, SECRET_MAX);
  return -1;
}

/* Drops one line ending from the |len| bytes |text|. Returns what is left. */
static size_t without_newline(const char *text, size_t len)
{
  if (len && text[len - 1] == '\n')
    return len > 1 && text[len - 2] == '\r' ? len - 2 : len - 1;
  return len;
}

static int read_file(const char *path, char *out, char *error)
{
  char buffer[SECRET_MAX + 3];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t len = 0;
  ssize_t n = -1;
  while (fd >= 0 && len < sizeof buffer && (n = read(fd, buffer + len, sizeof buffer - len)) > 0)
    len += (size_t)n;
  if (fd < 0 || n < 0) {
    snprintf(error, OPTIONS_ERROR_MAX,
             "--auth-secret-file: can't read '%.200s' (%s): expected a file with the secret in it", path,
             strerror(errno));
    make_one_line(error);
    if (fd >= 0)
      close(fd);
    return -1;
  }
  close(fd);
  len = without_newline(buffer, len);
  if (len > SECRET_MAX || memchr(buffer, 0, len)) {
    snprintf(error, OPTIONS_ERROR_MAX,
             "--auth-secret-file: '%.200s' holds no secret: expected 1 to %d bytes of text", path,
             SECRET_MAX);
    make_one_line(error);
    explicit_bzero(buffer, sizeof buffer);
    return -1;
  }
  memcpy(out, buffer, len);
  out[len] = 0;
  explicit_bzero(buffer, sizeof buffer);
  return check(out, "--auth-secret-file", error);
}

int secret_read(const options *o, char out[SECRET_MAX + 1], enum secret_source *source,
                char error[OPTIONS_ERROR_MAX])
{
  out[0] = 0;
  *source = SECRET_NONE;
  if (o->auth_secret_file) {
    *source = SECRET_FILE;
    return read_file(o->auth_secret_file, out, error);
  }
  if (!o->auth_secret)
    return 0;
  *source = SECRET_ENVIRONMENT;
  const size_t len = without_newline(o->auth_secret, strlen(o->auth_secret));
  if (len > SECRET_MAX) {
    snprintf(error, OPTIONS_ERROR_MAX, "AUTH_SECRET: the secret is too long: expected 1 to %d bytes",
             SECRET_MAX);
    return -1;
  }
  memcpy(out, o->auth_secret, len);
  out[len] = 0;
  return check(out, "AUTH_SECRET", error);
}

int secret_make(char out[SECRET_MAX + 1])
{
  uint8_t bytes[32];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
    return -1;
  for (size_t i = 0; i < sizeof bytes; i++)
    snprintf(out + 2 * i, 3, "%02x", bytes[i]);
  explicit_bzero(bytes, sizeof bytes);
  return 0;
}
