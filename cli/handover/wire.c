/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/wire.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A kernel that holds too many descriptors on their way is asked again after this. */
#define RETRY_MS 1

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

/* ---- where they meet ---- */

static bool address_of(const char *path, struct sockaddr_un *out)
{
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof out->sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(out->sun_path, path, strlen(path));
  return true;
}

static int fail(int fd, const char *made)
{
  const int keep = errno;
  if (made)
    unlink(made);
  if (fd >= 0)
    close(fd);
  errno = keep;
  return -1;
}

/* Where a listener for |path| is made. Returns whether there is such an address, else with errno. */
static bool address_beside(const char *path, struct sockaddr_un *out)
{
  char beside[sizeof out->sun_path];
  const int len = snprintf(beside, sizeof beside, "%s.%ld", path, (long)getpid());
  if (len >= 0 && (size_t)len < sizeof beside)
    return address_of(beside, out);
  errno = ENAMETOOLONG;
  return false;
}

int handover_listen_beside(const char *path)
{
  struct sockaddr_un addr;
  if (!address_beside(path, &addr))
    return -1;
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  unlink(addr.sun_path);
  if (bind(fd, (const struct sockaddr *)&addr, sizeof addr))
    return fail(fd, NULL);
  if (chmod(addr.sun_path, S_IRUSR | S_IWUSR) || listen(fd, 1))
    return fail(fd, addr.sun_path);
  return fd;
}

int handover_move_to(const char *path)
{
  struct sockaddr_un addr;
  return address_beside(path, &addr) ? rename(addr.sun_path, path) : -1;
}

void handover_remove_beside(const char *path)
{
  struct sockaddr_un addr;
  if (address_beside(path, &addr))
    unlink(addr.sun_path);
}

int handover_connect(const char *path)
{
  struct sockaddr_un addr;
  if (!address_of(path, &addr))
    return -1;
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  return connect(fd, (const struct sockaddr *)&addr, sizeof addr) ? fail(fd, NULL) : fd;
}

bool handover_is_ours(int fd, int *pid)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
    return false;
  *pid = (int)peer.pid;
  return peer.uid == geteuid() || peer.uid == 0;
}

const char *handover_name(int pid, char out[HANDOVER_NAME_MAX])
{
  if (pid)
    snprintf(out, HANDOVER_NAME_MAX, "process %d", pid);
  else
    snprintf(out, HANDOVER_NAME_MAX, "a process in another container");
  return out;
}

/* ---- messages ---- */

/* Waits for |events|. Returns whether they came by |until|. */
static bool wait_for(int fd, short events, fzr_time until)
{
  struct pollfd p = {fd, events, 0};
  for (;;) {
    const fzr_time now = monotonic_now();
    if (now >= until)
      return false;
    const int n = poll(&p, 1, (int)((until - now) / FZR_MILLISECOND) + 1);
    if (n > 0)
      return true;
    if (n < 0 && errno != EINTR)
      return false;
  }
}

typedef union control {
  struct cmsghdr align;
  uint8_t bytes[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];
} control;

/* Returns 1 if nothing can be sent now. */
static int try_message(int fd, const struct msghdr *msg, const char **why)
{
  while (sendmsg(fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR)
      continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS || errno == ENOBUFS)
      return 1;
    *why = errno == EPIPE || errno == ECONNRESET ? "the other process is gone" : strerror(errno);
    return -1;
  }
  return 0;
}

int handover_try_send(int fd, const handover_message *m, const int *fds, size_t n, const char **why)
{
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  control room = {.bytes = {0}};
  struct iovec iov = {bytes, handover_write(m, bytes)};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  if (n) {
    msg.msg_control = room.bytes;
    msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
  }
  const int result = try_message(fd, &msg, why);
  explicit_bzero(bytes, iov.iov_len); /* there may be the secret in it */
  return result;
}

/* Where the kernel holds too many descriptors there is room in the socket: it is not asked all the time. */
int handover_await_room(int fd, fzr_time until, const char **why)
{
  poll(NULL, 0, RETRY_MS);
  if (wait_for(fd, POLLOUT, until))
    return 0;
  *why = "the other process takes nothing";
  return -1;
}

int handover_send(int fd, const handover_message *m, const int *fds, size_t n, fzr_time until,
                  const char **why)
{
  int result;
  while ((result = handover_try_send(fd, m, fds, n, why)) > 0)
    if (handover_await_room(fd, until, why))
      return -1;
  return result;
}

static void close_all(const int *fds, size_t n)
{
  for (size_t i = 0; i < n; i++)
    close(fds[i]);
}

/* Takes the descriptors that came with |msg| into |fds|, which has room for as many as can come. */
static size_t take_descriptors(struct msghdr *msg, int fds[HANDOVER_FDS_MAX])
{
  size_t n = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    const size_t came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds + n, CMSG_DATA(c), came * sizeof(int));
    n += came;
  }
  return n;
}

int handover_receive(int fd, handover_message *m, int fds[HANDOVER_FDS_MAX], size_t *n, fzr_time until,
                     const char **why)
{
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  control room;
  int own[HANDOVER_FDS_MAX];
  struct iovec iov = {bytes, sizeof bytes};
  struct msghdr msg;
  ssize_t len;
  do {
    msg = (struct msghdr){
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    if (!wait_for(fd, POLLIN, until)) {
      *why = "the other process does not answer";
      return -1;
    }
    len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (len < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK));
  if (len <= 0) {
    *why = len == 0 || errno == ECONNRESET ? "the other process is gone" : strerror(errno);
    return -1;
  }
  int *into = fds ? fds : own;
  const size_t came = take_descriptors(&msg, into);
  const bool whole = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
  const bool understood = whole && handover_read(bytes, (size_t)len, m) && (fds || !came) &&
                          (m->type != HANDOVER_GIVE || m->fds == came);
  explicit_bzero(bytes, (size_t)len);
  if (!understood) {
    close_all(into, came);
    *why = msg.msg_flags & MSG_CTRUNC
               ? "too few descriptors are left for its sockets: raise the limit of open files"
               : "the other process says what can't be understood";
    return -1;
  }
  if (n)
    *n = came;
  return 0;
}

int handover_await(int fd, enum handover_type type, handover_message *m, fzr_time until,
                   char reason[HANDOVER_REASON_MAX])
{
  const char *why = NULL;
  if (!handover_receive(fd, m, NULL, NULL, until, &why)) {
    if (m->type == type)
      return 0;
    why = m->type == HANDOVER_REFUSE ? m->reason : "the other process says something else than is its turn";
  }
  snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  return -1;
}

void handover_refuse(int fd, const char *reason)
{
  handover_message m = {.type = HANDOVER_REFUSE};
  const char *why;
  snprintf(m.reason, sizeof m.reason, "%s", reason);
  handover_send(fd, &m, NULL, 0, monotonic_now() + FZR_MILLISECOND, &why);
}

void handover_hang_up(int fd)
{
  shutdown(fd, SHUT_RDWR);
}

/* ---- files in memory ---- */

handover_file *handover_file_new(const char *name)
{
  handover_file *file = malloc(sizeof *file);
  if (!file)
    return NULL;
  file->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  file->failed = false;
  file->held = 0;
  if (file->fd >= 0)
    return file;
  free(file);
  return NULL;
}

static void flush_file(handover_file *file)
{
  for (size_t at = 0; at < file->held && !file->failed;) {
    const ssize_t n = write(file->fd, file->buffer + at, file->held - at);
    if (n > 0)
      at += (size_t)n;
    else if (n == 0 || errno != EINTR)
      file->failed = true;
  }
  file->held = 0;
}

void handover_file_put(handover_file *file, const void *data, size_t len)
{
  const uint8_t *from = data;
  while (len) {
    const size_t room = sizeof file->buffer - file->held, n = len < room ? len : room;
    memcpy(file->buffer + file->held, from, n);
    file->held += n;
    from += n;
    len -= n;
    if (file->held == sizeof file->buffer)
      flush_file(file);
  }
}

int handover_file_seal(handover_file *file)
{
  flush_file(file);
  int fd = file->fd;
  if (file->failed || fcntl(fd, F_ADD_SEALS, SEALS))
    fd = fail(fd, NULL);
  explicit_bzero(file->buffer, sizeof file->buffer); /* there are keys in it */
  free(file);
  return fd;
}

bool handover_file_map(int fd, const uint8_t **data, size_t *len)
{
  struct stat status;
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || fstat(fd, &status))
    return false;
  if ((seals & SEALS) != SEALS || status.st_size < 0) {
    errno = EINVAL; /* who could shorten it could end this process */
    return false;
  }
  *len = (size_t)status.st_size;
  *data = NULL;
  if (!*len)
    return true;
  void *map = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
  if (map == MAP_FAILED)
    return false;
  *data = map;
  return true;
}

void handover_file_unmap(const uint8_t *data, size_t len)
{
  if (data)
    munmap((void *)(uintptr_t)data, len);
}
