/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel fills for one read of a listing at most. */
#define CHUNK 32768u
#define BODY  32u

static bool ask(int fd, uint16_t type, const void *body, size_t len)
{
  struct {
    struct nlmsghdr header;
    uint8_t body[BODY];
  } request = {.header = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
  if (len > sizeof request.body) {
    errno = EMSGSIZE;
    return false;
  }
  memcpy(request.body, body, len);
  request.header.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
  return send(fd, &request, request.header.nlmsg_len, MSG_DONTWAIT) >= 0;
}

/* Takes the messages of one read. Returns 1 when more is to come, 0 at the end, -1 after an error. */
static int take(const struct nlmsghdr *m, size_t len, void (*each)(void *, const struct nlmsghdr *),
                void *ctx)
{
  for (; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len)) {
    if (m->nlmsg_type == NLMSG_DONE)
      return 0;
    if (m->nlmsg_type == NLMSG_ERROR) {
      const struct nlmsgerr *error = NLMSG_DATA(m);
      errno = m->nlmsg_len >= NLMSG_LENGTH(sizeof *error) && error->error < 0 ? -error->error : EIO;
      return -1;
    }
    each(ctx, m);
  }
  return 1;
}

int fzri_netlink_list(uint16_t type, const void *body, size_t len,
                      void (*each)(void *ctx, const struct nlmsghdr *message), void *ctx)
{
  union {
    struct nlmsghdr first;
    uint8_t bytes[CHUNK];
  } answer;
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0)
    return -1;
  int more = ask(fd, type, body, len) ? 1 : -1;
  while (more > 0) {
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof from;
    const ssize_t n = recvfrom(fd, &answer, sizeof answer, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
    /* Other programs may write here, too. */
    if (n < 0 ? errno == EINTR : from.nl_pid != 0)
      continue;
    more = n <= 0 ? -1 : take(&answer.first, (size_t)n, each, ctx);
  }
  const int keep = errno;
  close(fd);
  errno = keep;
  return more;
}
