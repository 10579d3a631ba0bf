/* SPDX-License-Identifier: Apache-2.0 */
#include "sessions/client.h"

#include "common/decimal.h"
#include "firezone_relay/socket.h"
#include "sessions/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Of an answer's head. */
#define HEAD_MAX 4096
/* How long a relay may be silent. */
#define WAIT_SECONDS 10

static int connect_to(int family, const void *name, socklen_t len)
{
  const struct timeval wait = {WAIT_SECONDS, 0};
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  if (connect(fd, name, len) == 0)
    return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int client_connect(const char *path, const fzr_addr *addr)
{
  struct sockaddr_un local = {.sun_family = AF_UNIX};
  fzr_sockaddr name;
  if (!path) {
    const socklen_t len = fzr_addr_to_sockaddr(addr, &name);
    return connect_to(name.any.sa_family, &name, len);
  }
  if (strlen(path) >= sizeof local.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(local.sun_path, path, strlen(path));
  return connect_to(AF_UNIX, &local, sizeof local);
}

/* ---- the answer's head ---- */

/* The length of the line at |at|, without its end; *|next| is where the one behind it begins. */
static size_t line_at(const char *at, const char *end, const char **next)
{
  const char *newline = memchr(at, '\n', (size_t)(end - at));
  const char *stop = newline ? newline : end;
  *next = newline ? newline + 1 : end;
  if (stop > at && stop[-1] == '\r')
    stop--;
  return (size_t)(stop - at);
}

static int read_status(const char *line, size_t len)
{
  uint64_t status;
  if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || (len > 12 && line[12] != ' ') ||
      !decimal_read(line + 9, 3, 599, &status) || status < 100)
    return -1;
  return (int)status;
}

/* The number in a field |name|, which is at most |max|. Returns whether it is one. */
static bool read_number(const char *line, size_t len, const char *name, uint64_t max, uint64_t *out)
{
  const size_t n = strlen(name);
  if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
    return false;
  line += n + 1;
  len -= n + 1;
  while (len && (*line == ' ' || *line == '\t')) {
    line++;
    len--;
  }
  return decimal_read(line, len, max, out);
}

bool client_read_head(const char *head, size_t len, client_head *out)
{
  const char *at = head, *const end = head + len;
  size_t n = line_at(at, end, &at);
  uint64_t cut = 0;
  unsigned found = 0;
  *out = (client_head){.status = read_status(head, n)};
  while (at < end) {
    const char *line = at;
    n = line_at(line, end, &at);
    found += read_number(line, n, "Content-Length", UINT64_MAX / 2, &out->length);
    read_number(line, n, SESSION_CUT, 1, &cut);
  }
  out->cut = cut != 0;
  return out->status >= 0 && found == 1;
}

/* ---- asking ---- */

typedef struct answer {
  int fd;
  char data[HEAD_MAX];
  size_t len; /* that has come and was not taken */
} answer;

static int fail(char *error, const char *what)
{
  snprintf(error, CLIENT_ERROR_MAX, "%s", what);
  return -1;
}

static int fail_to_read(char *error, ssize_t n)
{
  return fail(error, !n                                        ? "the relay ended the connection"
                     : errno == EAGAIN || errno == EWOULDBLOCK ? "the relay does not answer"
                                                               : strerror(errno));
}

static int send_all(int fd, const char *data, size_t len)
{
  while (len) {
    const ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return -1;
    data += n;
    len -= (size_t)n;
  }
  return 0;
}

static ssize_t read_more(answer *a)
{
  ssize_t n;
  do
    n = recv(a->fd, a->data + a->len, sizeof a->data - a->len, 0);
  while (n < 0 && errno == EINTR);
  a->len += n > 0 ? (size_t)n : 0;
  return n;
}

/* Reads the head, and leaves what has come of the body at the begin of |a|. Returns 0 or -1. */
static int take_head(answer *a, client_head *out, char *error)
{
  for (;;) {
    const char *end = memmem(a->data, a->len, "\r\n\r\n", 4);
    if (end) {
      const size_t head = (size_t)(end - a->data) + 2;
      const bool is_one = client_read_head(a->data, head, out);
      memmove(a->data, a->data + head + 2, a->len - head - 2);
      a->len -= head + 2;
      return is_one ? 0 : fail(error, "what answers there is no relay's control endpoint");
    }
    if (a->len == sizeof a->data)
      return fail(error, "what answers there is no relay's control endpoint");
    const ssize_t n = read_more(a);
    if (n <= 0)
      return fail_to_read(error, n);
  }
}

static int take_answer(answer *a, client_body_fn body, void *ctx, char *error)
{
  client_head head;
  if (take_head(a, &head, error))
    return -1;
  for (uint64_t left = head.length;;) {
    const size_t some = a->len < left ? a->len : (size_t)left;
    if (some && !body(ctx, &head, a->data, some))
      return fail(error, "can't write what was answered");
    left -= some;
    a->len = 0;
    if (!left)
      return head.status;
    const ssize_t n = read_more(a);
    if (n <= 0)
      return fail_to_read(error, n);
  }
}

int client_ask(int fd, const char *method, const char *target, client_body_fn body, void *ctx,
               char error[CLIENT_ERROR_MAX])
{
  char request[HEAD_MAX];
  answer a = {.fd = fd};
  const int len = snprintf(request, sizeof request,
                           "%s %s HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n", method, target);
  int status = -1;
  if (len < 0 || (size_t)len >= sizeof request)
    fail(error, "the request is too long");
  else if (send_all(fd, request, (size_t)len))
    fail(error, strerror(errno));
  else
    status = take_answer(&a, body, ctx, error);
  close(fd);
  return status;
}
