/* SPDX-License-Identifier: Apache-2.0 */
#include "config_file.h"

#include "login_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)4 << 20) /* bytes; more is another file */

/* Twice the room. Not realloc, which would leave secrets behind. Returns false, and there is nothing left, for want of memory. */
static bool grow(options_text *t, size_t *cap)
{
  char *more = calloc(1, *cap = *cap ? 2 * *cap : 8192);
  if (t->data) {
    if (more)
      memcpy(more, t->data, t->len);
    explicit_bzero(t->data, t->len);
    free(t->data);
  }
  t->data = more;
  return more != NULL;
}

int config_file_read(const char *path, bool anew, options_text *out, const char **what)
{
  size_t cap = 0;
  ssize_t n = 1;
  *out = (options_text){0};
  const int fd = login_file_open(path, anew, &out->is_public, what);
  if (fd < 0)
    return -1;
  *what = NULL;
  while (n > 0 && !*what) {
    /* A zero has to have room behind it. */
    if (cap - out->len < 2 && !grow(out, &cap)) {
      *what = "out of memory";
      break;
    }
    n = read(fd, out->data + out->len, cap - out->len - 1);
    if (n < 0)
      *what = strerror(errno);
    else if ((out->len += (size_t)n) > FILE_MAX)
      *what = "it has more than 4 MB";
  }
  close(fd);
  if (!*what)
    return 0;
  if (out->data)
    explicit_bzero(out->data, out->len);
  free(out->data);
  *out = (options_text){0};
  return -1;
}
