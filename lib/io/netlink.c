/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel fills for one read of a listing at most. */
#define CHUNK 32768u
#define BODY  32u

int fzri_netlink_open(uint32_t groups)
{
  const struct sockaddr_nl me = {.nl_family = AF_NETLINK, .nl_groups = groups};
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd >= 0 && bind(fd, (const struct sockaddr *)&me, sizeof me) == 0)
    return fd;
  const int keep = errno;
  if (fd >= 0)
    close(fd);
  errno = keep;
  return -1;
}

bool fzri_netlink_put(int fd, const struct nlmsghdr *message)
{
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  return sendto(fd, message, message->nlmsg_len, MSG_DONTWAIT, (const struct sockaddr *)&kernel,
                sizeof kernel) >= 0;
}

ssize_t fzri_netlink_take(int fd, void *out, size_t room)
{
  struct sockaddr_nl from = {0};
  socklen_t len = sizeof from;
  const ssize_t n = recvfrom(fd, out, room, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
  return n > 0 && from.nl_pid ? 0 : n; /* other programs may write here, too */
}

/* ---- what is in it ---- */

/* How far it is to what follows something of |len| bytes. The padding behind the last one may be missing. */
static size_t step(size_t len, size_t rest)
{
  const size_t aligned = NLMSG_ALIGN(len); /* attributes are aligned to the same */
  return aligned < rest ? aligned : rest;
}

const struct nlmsghdr *fzri_netlink_next(const uint8_t **at, size_t *rest)
{
  const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)*at;
  if (*rest < sizeof *m || m->nlmsg_len < sizeof *m || m->nlmsg_len > *rest)
    return NULL;
  const size_t by = step(m->nlmsg_len, *rest);
  *at += by;
  *rest -= by;
  return m;
}

const void *fzri_netlink_attribute(const void *first, size_t room, uint16_t type, size_t *len)
{
  const uint8_t *at = first;
  while (room >= sizeof(struct rtattr)) {
    const struct rtattr *a = (const struct rtattr *)(const void *)at;
    if (a->rta_len < sizeof *a || a->rta_len > room)
      return NULL;
    if ((a->rta_type & NLA_TYPE_MASK) == type) {
      *len = RTA_PAYLOAD(a);
      return RTA_DATA(a);
    }
    const size_t by = step(a->rta_len, room);
    at += by;
    room -= by;
  }
  return NULL;
}

const void *fzri_netlink_attribute_of(const struct nlmsghdr *m, size_t skip, uint16_t type, size_t *len)
{
  if (m->nlmsg_len < NLMSG_SPACE(skip))
    return NULL;
  const uint8_t *at = (const uint8_t *)NLMSG_DATA(m) + NLMSG_ALIGN(skip);
  return fzri_netlink_attribute(at, m->nlmsg_len - NLMSG_SPACE(skip), type, len);
}

/* ---- lists ---- */

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
  return fzri_netlink_put(fd, &request.header);
}

/* Takes the messages of one read. Returns 1 when more is to come, 0 at the end, -1 after an error. */
static int take_part(const uint8_t *at, size_t rest, void (*each)(void *, const struct nlmsghdr *), void *ctx)
{
  for (const struct nlmsghdr *m; (m = fzri_netlink_next(&at, &rest));) {
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
  const int fd = fzri_netlink_open(0);
  if (fd < 0)
    return -1;
  int more = ask(fd, type, body, len) ? 1 : -1;
  while (more > 0) {
    const ssize_t n = fzri_netlink_take(fd, &answer, sizeof answer);
    if (n < 0 && errno != EINTR)
      more = -1;
    else if (n > 0)
      more = take_part(answer.bytes, (size_t)n, each, ctx);
  }
  const int keep = errno;
  close(fd);
  errno = keep;
  return more;
}
