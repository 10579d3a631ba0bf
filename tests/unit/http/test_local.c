/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners in the file system, and HTTP there. */
#include "http/local.h"

#include "http/server.h"
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>

static char folder[64], path[HTTP_LOCAL_PATH_MAX + 1];

static void set_up(void)
{
  snprintf(folder, sizeof folder, "/tmp/fzr-local-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/control", folder);
}

static void tear_down(void)
{
  unlink(path);
  ck_assert_int_eq(rmdir(folder), 0);
}

static int connect_to(const char *where)
{
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  memcpy(addr.sun_path, where, strlen(where));
  if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) == 0)
    return fd;
  close(fd);
  return -1;
}

static mode_t mode_of(void)
{
  struct stat st;
  ck_assert_int_eq(stat(path, &st), 0);
  ck_assert(S_ISSOCK(st.st_mode));
  return st.st_mode & 07777;
}

START_TEST(test_modes)
{
  umask(0);
  const int fd = http_local_listen(path, (gid_t)-1);
  ck_assert_int_ge(fd, 0);
  ck_assert_uint_eq(mode_of(), 0600);
  ck_assert_uint_eq(umask(0), 0); /* as it was */
  close(fd);
  unlink(path);
  const int shared = http_local_listen(path, getgid());
  ck_assert_int_ge(shared, 0);
  ck_assert_uint_eq(mode_of(), 0660);
  http_local_file made;
  ck_assert(http_local_look(path, &made));
  ck_assert_int_eq(http_local_share(path, &made, (gid_t)-1), 0);
  ck_assert_uint_eq(mode_of(), 0600);
  ck_assert_int_eq(http_local_share(path, &made, getgid()), 0);
  ck_assert_uint_eq(mode_of(), 0660);
  made.ino++;
  ck_assert_int_eq(http_local_share(path, &made, (gid_t)-1), -1);
  ck_assert_int_eq(errno, ENOENT);
  ck_assert_uint_eq(mode_of(), 0660);
  close(shared);
}
END_TEST

/* ---- a sandbox where nothing may be given away: --wrap=lchown ---- */

static bool may_not_chown;
static unsigned chowns;

int __real_lchown(const char *file, uid_t owner, gid_t group);
int __wrap_lchown(const char *file, uid_t owner, gid_t group);

int __wrap_lchown(const char *file, uid_t owner, gid_t group)
{
  chowns++;
  if (!may_not_chown)
    return __real_lchown(file, owner, group);
  errno = EPERM;
  return -1;
}

START_TEST(test_no_chown_where_the_group_is_right)
{
  may_not_chown = true;
  const int fd = http_local_listen(path, getegid());
  ck_assert_int_ge(fd, 0);
  ck_assert_uint_eq(mode_of(), 0660);
  http_local_file made;
  ck_assert(http_local_look(path, &made));
  /* As at a hand-over without --control-group. */
  ck_assert_int_eq(http_local_share(path, &made, (gid_t)-1), 0);
  ck_assert_uint_eq(mode_of(), 0600);
  ck_assert_int_eq(http_local_share(path, &made, getegid()), 0);
  ck_assert_uint_eq(mode_of(), 0660);
  ck_assert_uint_eq(chowns, 0);
  ck_assert_int_eq(http_local_share(path, &made, getegid() + 1), -1);
  ck_assert_int_eq(errno, EPERM);
  ck_assert_uint_eq(mode_of(), 0600);
  ck_assert_uint_eq(chowns, 1);
  close(fd);
  unlink(path);
  ck_assert_int_eq(http_local_listen(path, getegid() + 1), -1);
  ck_assert_int_eq(errno, EPERM);
  ck_assert_uint_eq(chowns, 2);
}
END_TEST

/* A process that makes a listener at |path| and goes on until it is killed. */
static pid_t other_at_path(void)
{
  int ready[2];
  char byte;
  ck_assert_int_eq(pipe(ready), 0);
  const pid_t pid = fork();
  if (!pid) {
    close(ready[0]);
    if (http_local_listen(path, (gid_t)-1) >= 0 && write(ready[1], "x", 1) == 1)
      for (;;)
        pause();
    _exit(1);
  }
  close(ready[1]);
  ck_assert_int_eq(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  return pid;
}

START_TEST(test_is_at)
{
  char twice[sizeof path + 1];
  const int fd = http_local_listen(path, (gid_t)-1);
  snprintf(twice, sizeof twice, "%s//control", folder);
  ck_assert(http_local_is_at(fd, path));
  ck_assert(http_local_is_at(fd, twice));
  ck_assert(!http_local_is_at(fd, folder));
  const int client = connect_to(path); /* it serves as before */
  ck_assert_int_ge(client, 0);
  close(client);
  unlink(path);
  ck_assert(!http_local_is_at(fd, path));
  const pid_t other = other_at_path();
  ck_assert(!http_local_is_at(fd, path));
  kill(other, SIGKILL);
  waitpid(other, NULL, 0);
  ck_assert(!http_local_is_at(fd, path)); /* it is dead */
  const int none = socket(AF_UNIX, SOCK_STREAM, 0);
  ck_assert(!http_local_is_at(none, path));
  close(none);
  close(fd);
}
END_TEST

/* So many wait that no more can connect. */
START_TEST(test_is_at_when_full)
{
  int waiting[64];
  size_t n = 0;
  const int fd = http_local_listen(path, (gid_t)-1);
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  memcpy(addr.sun_path, path, strlen(path));
  do
    waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  while (!connect(waiting[n++], (const struct sockaddr *)&addr, sizeof addr) && n < 64);
  ck_assert_uint_lt(n, 64);
  ck_assert_int_eq(errno, EAGAIN);
  ck_assert(http_local_is_at(fd, path));
  while (n)
    close(waiting[--n]);
  close(fd);
}
END_TEST

START_TEST(test_who_makes_way)
{
  const int first = http_local_listen(path, (gid_t)-1);
  ck_assert_int_ge(first, 0);
  ck_assert_int_eq(http_local_listen(path, (gid_t)-1), -1);
  ck_assert_int_eq(errno, EADDRINUSE);
  const int client = connect_to(path);
  ck_assert_int_ge(client, 0);
  close(client);
  close(first);
  ck_assert_int_eq(connect_to(path), -1);
  const int second = http_local_listen(path, (gid_t)-1); /* what is dead */
  ck_assert_int_ge(second, 0);
  close(second);
  unlink(path);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  ck_assert_int_eq(http_local_listen(path, (gid_t)-1), -1); /* what is no socket */
  ck_assert_int_eq(errno, EEXIST);
  ck_assert_int_eq(access(path, F_OK), 0);
  ck_assert_int_eq(http_local_listen("/nonexistent/control", (gid_t)-1), -1);
  ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(test_paths)
{
  char longest[HTTP_LOCAL_PATH_MAX + 2], at[HTTP_LOCAL_PATH_MAX + 1];
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = 0;
  ck_assert_int_eq(http_local_listen(longest, (gid_t)-1), -1);
  ck_assert_int_eq(errno, ENAMETOOLONG);
  ck_assert_int_eq(http_local_listen("", (gid_t)-1), -1);
  memcpy(longest, folder, strlen(folder));
  longest[strlen(folder)] = '/';
  longest[HTTP_LOCAL_PATH_MAX] = 0;
  const int fd = http_local_listen(longest, (gid_t)-1);
  ck_assert_int_ge(fd, 0);
  ck_assert(http_local_path(fd, at));
  ck_assert_str_eq(at, longest);
  close(fd);
  unlink(longest);
  const int pair = socket(AF_UNIX, SOCK_STREAM, 0);
  ck_assert(!http_local_path(pair, at)); /* it has no name */
  close(pair);
}
END_TEST

/* What somebody else has put there stays. */
START_TEST(test_remove)
{
  http_local_file made, other;
  const int fd = http_local_listen(path, (gid_t)-1);
  ck_assert(http_local_look(path, &made));
  ck_assert(!http_local_look(folder, &other) && !other.ino);
  http_local_remove(path, &other);
  ck_assert_int_eq(access(path, F_OK), 0);
  unlink(path);
  const int later = http_local_listen(path, (gid_t)-1);
  http_local_file now;
  ck_assert(http_local_look(path, &now));
  if (now.ino != made.ino) {
    http_local_remove(path, &made);
    ck_assert_int_eq(access(path, F_OK), 0);
  }
  http_local_remove(path, &now);
  ck_assert_int_eq(access(path, F_OK), -1);
  close(fd);
  close(later);
}
END_TEST

/* Another process has bound its socket and does not listen yet. */
START_TEST(test_who_is_about_to_listen)
{
  char lock[sizeof path + 8];
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  const int other = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(lock, sizeof lock, "%s.lock", path);
  memcpy(addr.sun_path, path, strlen(path));
  const int held = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ck_assert_int_eq(flock(held, LOCK_EX), 0);
  ck_assert_int_eq(bind(other, (const struct sockaddr *)&addr, sizeof addr), 0);
  ck_assert_int_eq(http_local_listen(path, (gid_t)-1), -1);
  ck_assert_int_eq(errno, EADDRINUSE);
  ck_assert_int_eq(listen(other, 1), 0);
  const int client = connect_to(path);
  ck_assert_int_ge(client, 0);
  close(client);
  close(other);
  ck_assert_int_eq(access(lock, F_OK), 0);
  close(held); /* it has died: what it held stays, and is in nobody's way */
  const int fd = http_local_listen(path, (gid_t)-1);
  ck_assert_int_ge(fd, 0);
  close(fd);
  ck_assert_int_eq(access(lock, F_OK), -1);
  /* What somebody has of that name stays. */
  const int mine = open(lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  ck_assert_int_eq(write(mine, "x", 1), 1);
  close(mine);
  const int third = http_local_listen(path, (gid_t)-1);
  ck_assert_int_ge(third, 0);
  close(third);
  ck_assert_int_eq(unlink(lock), 0);
}
END_TEST

/* Of several at once, where a dead one has left a socket, one gets it. */
START_TEST(test_several_at_once)
{
  for (unsigned turn = 0; turn < 100; turn++) {
    pid_t each[4];
    int start[2], result[2];
    char bytes[8];
    close(http_local_listen(path, (gid_t)-1));
    ck_assert(!pipe(start) && !pipe(result));
    for (size_t i = 0; i < 4; i++) {
      each[i] = fork();
      if (each[i])
        continue;
      close(start[1]);
      if (read(start[0], bytes, 1) < 0)
        _exit(1);
      const char byte = http_local_listen(path, (gid_t)-1) >= 0 ? 'y' : 'n';
      if (write(result[1], &byte, 1) == 1)
        for (;;)
          pause();
      _exit(1);
    }
    close(start[0]);
    close(start[1]);
    unsigned got = 0;
    for (size_t i = 0; i < 4; i++) {
      ck_assert_int_eq(read(result[0], bytes, 1), 1);
      got += bytes[0] == 'y';
    }
    const int client = connect_to(path);
    for (size_t i = 0; i < 4; i++) {
      kill(each[i], SIGKILL);
      waitpid(each[i], NULL, 0);
    }
    close(result[0]);
    close(result[1]);
    ck_assert_msg(got == 1 && client >= 0, "turn %u: %u listen, connected: %d", turn, got, client);
    close(client);
  }
}
END_TEST

static void tell(void *ctx, const http_request *request, http_response *response)
{
  evbuffer_add_printf(response->body, "%s %s", (const char *)ctx, request->path);
}

/* Asks |server|, within |base|, and expects |what| in the answer. */
static void expect(struct event_base *base, const char *target, const char *what)
{
  char text[1024] = "";
  size_t len = 0;
  const int fd = connect_to(path);
  ck_assert_int_ge(fd, 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  const int n =
      snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target);
  ck_assert_int_eq(write(fd, text, (size_t)n), n);
  for (unsigned turns = 0; turns < 1000; turns++) {
    event_base_loop(base, EVLOOP_NONBLOCK);
    const ssize_t got = read(fd, text + len, sizeof text - 1 - len);
    if (got == 0)
      break;
    if (got > 0)
      len += (size_t)got;
    else
      usleep(1000);
  }
  text[len] = 0;
  close(fd);
  ck_assert_msg(strstr(text, what), "%s: %s", target, text);
}

START_TEST(test_http)
{
  static char one[] = "one", below[] = "below";
  struct event_base *base = event_base_new();
  http_server *server = http_server_adopt(base, http_local_listen(path, (gid_t)-1), 4);
  ck_assert_ptr_nonnull(server);
  ck_assert_uint_eq(http_server_addr(server).family, FZR_FAMILY_NONE);
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/one", tell, one), 0);
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/below/", tell, below), 0);
  expect(base, "/one", "\r\n\r\none /one");
  expect(base, "/one/", " 404 ");
  expect(base, "/on", " 404 ");
  expect(base, "/below", " 404 ");
  expect(base, "/below/", "\r\n\r\nbelow /below/");
  expect(base, "/below/x%20y", "\r\n\r\nbelow /below/x y");
  for (unsigned i = 0; i < 20; i++) /* more than there may be at once */
    expect(base, "/one", "\r\n\r\none /one");
  http_server_free(server);
  event_base_free(base);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("http_local");
  TCase *tc = tcase_create("local");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_modes);
  tcase_add_test(tc, test_no_chown_where_the_group_is_right);
  tcase_add_test(tc, test_is_at);
  tcase_add_test(tc, test_is_at_when_full);
  tcase_add_test(tc, test_who_makes_way);
  tcase_add_test(tc, test_who_is_about_to_listen);
  tcase_add_test(tc, test_several_at_once);
  tcase_add_test(tc, test_paths);
  tcase_add_test(tc, test_remove);
  tcase_add_test(tc, test_http);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
