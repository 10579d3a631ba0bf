/* SPDX-License-Identifier: Apache-2.0 */
#include "http/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* How many may wait: it is for operators. */
#define BACKLOG 16

static bool address_of(const char *path, struct sockaddr_un *out)
{
  const size_t len = strlen(path);
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  if (!len || len > HTTP_LOCAL_PATH_MAX) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(out->sun_path, path, len);
  return true;
}

static int fail(int fd)
{
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* Whether somebody listens there; errno says why not. */
static bool is_live(const struct sockaddr_un *addr)
{
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return true; /* it is not known */
  /* One whose queue is full, or that this process may not open, lives. */
  const bool live = connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 || errno != ECONNREFUSED;
  close(fd);
  return live;
}

/* Makes way at |addr|, where something is. Returns 0, or -1 with errno. */
static int make_way(const struct sockaddr_un *addr)
{
  struct stat st;
  if (lstat(addr->sun_path, &st))
    return errno == ENOENT ? 0 : -1;
  if (!S_ISSOCK(st.st_mode)) {
    errno = EEXIST;
    return -1;
  }
  if (is_live(addr)) {
    errno = EADDRINUSE;
    return -1;
  }
  return unlink(addr->sun_path);
}

/* ---- one process at a time ---- */

/* A socket that another process has bound and does not listen at yet looks dead. So all who make one at a path hold a file beside it meanwhile. */
#define LOCK_SUFFIX ".lock"
#define LOCK_MAX    (HTTP_LOCAL_PATH_MAX + sizeof LOCK_SUFFIX)
#define LOCK_TRIES  100

/* Who had it before may have removed it since it was opened. */
static bool is_still_there(int fd, const char *path)
{
  struct stat opened, now;
  return !fstat(fd, &opened) && !lstat(path, &now) && opened.st_ino == now.st_ino &&
         opened.st_dev == now.st_dev;
}

/* Returns a descriptor; or -1 with errno: EADDRINUSE if another process makes a listener there just now. */
static int take_lock(const char *path)
{
  for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
      return -1;
    /* Some file systems have no locks: without, then. */
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
      errno = EADDRINUSE;
      return fail(fd);
    }
    if (is_still_there(fd, path))
      return fd;
    close(fd);
  }
  errno = EADDRINUSE;
  return -1;
}

/* A file with something in it is somebody's, and has that name by chance. */
static void drop_lock(int fd, const char *path)
{
  const int error = errno;
  struct stat st;
  if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !st.st_size)
    unlink(path);
  close(fd);
  errno = error;
}

/* ---- a listener ---- */

/* By nobody else from the first moment on. */
static int bind_alone(int fd, const struct sockaddr_un *addr)
{
  const mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
  const int result = bind(fd, (const struct sockaddr *)addr, sizeof *addr);
  umask(before);
  return result;
}

/* A sandbox may forbid each chown: what is right already stays as it is. */
static int set_group(const char *path, gid_t group)
{
  struct stat st;
  if (lstat(path, &st))
    return -1;
  return st.st_gid == group ? 0 : lchown(path, (uid_t)-1, group);
}

static int give_to(const char *path, gid_t group)
{
  return set_group(path, group) || chmod(path, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP) ? -1 : 0;
}

static int listen_alone(const struct sockaddr_un *addr, gid_t group)
{
  const char *path = addr->sun_path;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (bind_alone(fd, addr) && (errno != EADDRINUSE || make_way(addr) || bind_alone(fd, addr)))
    return fail(fd);
  if ((group != (gid_t)-1 && give_to(path, group)) || listen(fd, BACKLOG)) {
    const int error = errno;
    unlink(path);
    errno = error;
    return fail(fd);
  }
  return fd;
}

int http_local_listen(const char *path, gid_t group)
{
  struct sockaddr_un addr;
  char beside[LOCK_MAX];
  if (!address_of(path, &addr))
    return -1;
  snprintf(beside, sizeof beside, "%s" LOCK_SUFFIX, path);
  const int lock = take_lock(beside);
  if (lock < 0)
    return -1;
  const int fd = listen_alone(&addr, group);
  drop_lock(lock, beside);
  return fd;
}

bool http_local_path(int fd, char *out)
{
  struct sockaddr_un addr = {.sun_family = AF_UNSPEC};
  socklen_t len = sizeof addr;
  if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX ||
      len <= offsetof(struct sockaddr_un, sun_path) || !addr.sun_path[0])
    return false;
  const size_t room = len - offsetof(struct sockaddr_un, sun_path), n = strnlen(addr.sun_path, room);
  if (n > HTTP_LOCAL_PATH_MAX)
    return false;
  memcpy(out, addr.sun_path, n);
  out[n] = 0;
  return true;
}

/* The name says where it was made, not whether that file is still there. Whoever connects is told which process has called listen last: this
 * one does, which changes nothing else, and sees whether it is told so. */
bool http_local_is_at(int fd, const char *path)
{
  char made_at[HTTP_LOCAL_PATH_MAX + 1];
  struct sockaddr_un addr;
  struct ucred peer = {0};
  socklen_t len = sizeof peer;
  if (!address_of(path, &addr) || !http_local_path(fd, made_at) || listen(fd, BACKLOG))
    return false;
  const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (client < 0)
    return false;
  bool is_there;
  if (connect(client, (const struct sockaddr *)&addr, sizeof addr))
    is_there = errno == EAGAIN && strcmp(made_at, path) == 0; /* so many wait that it can't be seen */
  else
    is_there = !getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) && len == sizeof peer &&
               peer.pid == getpid();
  close(client);
  return is_there;
}

/* ---- its file ---- */

bool http_local_look(const char *path, http_local_file *out)
{
  struct stat st;
  *out = (http_local_file){0};
  if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
    return false;
  *out = (http_local_file){st.st_dev, st.st_ino};
  return true;
}

bool http_local_is_still(const char *path, const http_local_file *made)
{
  http_local_file now;
  return made->ino && http_local_look(path, &now) && now.ino == made->ino && now.dev == made->dev;
}

int http_local_share(const char *path, const http_local_file *made, gid_t group)
{
  if (!http_local_is_still(path, made)) {
    errno = ENOENT;
    return -1;
  }
  /* First nobody else may: whoever is to have it gets it after that. */
  if (chmod(path, S_IRUSR | S_IWUSR))
    return -1;
  return group == (gid_t)-1 ? set_group(path, getegid()) : give_to(path, group);
}

void http_local_remove(const char *path, const http_local_file *made)
{
  if (http_local_is_still(path, made))
    unlink(path);
}
