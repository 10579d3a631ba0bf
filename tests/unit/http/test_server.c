/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server and the health routes, through real sockets on loopback, driven by the same thread. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "http/health.h"
#include "testing.h"

#define RESPONSE_MAX 8192

static struct event_base *base;
static http_server *server;

/* Bytes that libevent has, and with it the server's connections. */
static size_t held;

static void *count_malloc(size_t len)
{
  void *p = malloc(len);
  held += malloc_usable_size(p);
  return p;
}

static void *count_realloc(void *old, size_t len)
{
  const size_t before = malloc_usable_size(old);
  void *p = realloc(old, len);
  if (p != NULL || len == 0)
    held += malloc_usable_size(p) - before;
  return p;
}

static void count_free(void *p)
{
  held -= malloc_usable_size(p);
  free(p);
}

static unsigned open_fds(void)
{
  unsigned n = 0;
  DIR *dir = opendir("/proc/self/fd");
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir) != NULL)
    n++;
  (void)closedir(dir);
  return n;
}

static void setup(void)
{
  fzr_addr addr = fzt_addr("127.0.0.1");
  base = event_base_new();
  ck_assert_ptr_nonnull(base);
  server = http_server_new(base, &addr, 8);
  ck_assert_ptr_nonnull(server);
}

static void teardown(void)
{
  http_server_free(server);
  event_base_free(base);
}

static int dial_from(const char *source)
{
  fzr_addr addr = http_server_addr(server), own = fzt_addr(source);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(addr.port)},
                     from = {.sin_family = AF_INET};
  memcpy(&to.sin_addr, addr.ip, 4);
  memcpy(&from.sin_addr, own.ip, 4);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
  ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

static int dial(void)
{
  return dial_from("127.0.0.1");
}

/* Runs the server until the peer of |fd| has closed; returns what it sent, zero-terminated. */
static char *read_all(int fd)
{
  static char text[RESPONSE_MAX];
  size_t len = 0;
  for (;;) {
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ssize_t n = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT);
    if (n > 0)
      len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
      break;
    ck_assert_uint_lt(len, sizeof text - 1);
  }
  text[len] = '\0';
  return text;
}

static char *ask(const char *request)
{
  int fd = dial();
  ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
  char *text = read_all(fd);
  (void)close(fd);
  return text;
}

static char *ask_for(const char *method, const char *target)
{
  char request[512];
  (void)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method,
                 target);
  return ask(request);
}

static int status_of(const char *text)
{
  int status = 0;
  ck_assert_int_eq(sscanf(text, "HTTP/1.1 %d", &status), 1);
  return status;
}

static void echo(void *ctx, const http_request *request, http_response *response)
{
  const char *value = http_query(request, "q");
  ++*(unsigned *)ctx;
  (void)evbuffer_add_printf(response->body, "%s|%s|", request->path, value != NULL ? value : "-");
  (void)evbuffer_add(response->body, request->body, request->body_len);
}

START_TEST(routes_by_method_and_path)
{
  unsigned calls = 0;
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a b", echo, &calls), 0);
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_POST, "/post", echo, &calls), 0);
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_POST, "/post", echo, &calls), -1);
  ck_assert_int_eq(errno, EEXIST);

  const char *text = ask_for("GET", "/a%20b?q=1%262&r=3");
  ck_assert_int_eq(status_of(text), 200);
  ck_assert_ptr_nonnull(strstr(text, "\r\n\r\n/a b|1&2|"));
  text = ask("POST /post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
  ck_assert_int_eq(status_of(text), 200);
  ck_assert_ptr_nonnull(strstr(text, "/post|-|hello"));
  ck_assert_uint_eq(calls, 2);
}
END_TEST

START_TEST(head_has_no_body)
{
  unsigned calls = 0;
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  const char *text = ask_for("HEAD", "/a");
  ck_assert_int_eq(status_of(text), 200);
  ck_assert_uint_eq(calls, 1);
  const char *end = strstr(text, "\r\n\r\n");
  ck_assert_ptr_nonnull(end);
  ck_assert_str_eq(end + 4, "");
}
END_TEST

START_TEST(no_answer_to_head_has_a_body)
{
  static const struct {
    const char *target;
    int status;
  } asked[] = {{"/nothing", 404}, {"/", 404},  {"/post", 405},
               {"/a?b=%00", 400}, {"/a", 200}, {"/readyz", 404}};
  unsigned calls = 0;
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_POST, "/post", echo, &calls), 0);
  for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
    const char *text = ask_for("HEAD", asked[i].target);
    ck_assert_int_eq(status_of(text), asked[i].status);
    const char *end = strstr(text, "\r\n\r\n");
    ck_assert_ptr_nonnull(end);
    ck_assert_msg(end[4] == '\0', "%s: %s", asked[i].target, text);
  }
}
END_TEST

/* Those that evhttp sends by itself, to what it can't read or does not take: nothing follows the head, and the head says so. */
START_TEST(no_refusal_has_a_body)
{
  static char requests[6][HTTP_MAX_HEADER + 100] = {
      "HEAD http://[ HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
      "HEAD http://[ HTTP/1.0\r\n\r\n", "BREW /a HTTP/1.1\r\nHost: x\r\n\r\n"};
  for (unsigned i = 4; i < 6; i++) {
    const int n = snprintf(requests[i], sizeof requests[i], "%s /a HTTP/1.1\r\nX: ", i == 4 ? "HEAD" : "GET");
    memset(requests[i] + n, 'x', HTTP_MAX_HEADER);
    memcpy(requests[i] + n + HTTP_MAX_HEADER, "\r\n\r\n", 5);
  }
  for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
    const char *text = ask(requests[i]);
    ck_assert_msg(status_of(text) == (i == 3 ? 501 : 400), "%.40s: %s", requests[i], text);
    const char *end = strstr(text, "\r\n\r\n");
    ck_assert_ptr_nonnull(end);
    ck_assert_msg(end[4] == '\0', "%.40s: %s", requests[i], text);
    ck_assert_ptr_nonnull(strstr(text, "\r\nContent-Length: 0\r\n"));
  }
}
END_TEST

START_TEST(unknown_is_404_and_405)
{
  unsigned calls = 0;
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  ck_assert_int_eq(status_of(ask_for("GET", "/b")), 404);
  ck_assert_int_eq(status_of(ask_for("GET", "/a/")), 404);
  static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    const char *text = ask_for(methods[i], "/a");
    ck_assert_msg(status_of(text) == 405, "%s: %s", methods[i], text);
    ck_assert_ptr_nonnull(strstr(text, "Allow: GET, HEAD"));
  }
  ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(headers_and_bodies_are_limited)
{
  unsigned calls = 0;
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_POST, "/p", echo, &calls), 0);
  static char big[64 * 1024];
  size_t len = (size_t)snprintf(big, sizeof big, "POST /p HTTP/1.1\r\nX: ");
  memset(big + len, 'a', HTTP_MAX_HEADER);
  (void)snprintf(big + len + HTTP_MAX_HEADER, 8, "\r\n\r\n");
  ck_assert_ptr_null(strstr(ask(big), " 200 "));
  int n = snprintf(big, sizeof big, "POST /p HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
                   HTTP_MAX_BODY + 1);
  memset(big + n, 'a', HTTP_MAX_BODY + 1);
  big[n + HTTP_MAX_BODY + 1] = '\0';
  ck_assert_ptr_null(strstr(ask(big), " 200 "));
  ck_assert_uint_eq(calls, 0);
  ck_assert_uint_eq(http_server_connections(server), 0);
}
END_TEST

START_TEST(garbage_does_no_harm)
{
  static const char *const garbage[] = {"\r\n\r\n",
                                        "GET\r\n\r\n",
                                        "GET / HTTP/9.9\r\n\r\n",
                                        "\xff\xfe\r\n\r\n",
                                        "GET /%zz%0 HTTP/1.0\r\n\r\n",
                                        "GET http://[ HTTP/1.0\r\n\r\n"};
  for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
    int fd = dial();
    ck_assert_int_gt(send(fd, garbage[i], strlen(garbage[i]), MSG_NOSIGNAL), 0);
    (void)shutdown(fd, SHUT_WR);
    ck_assert_ptr_null(strstr(read_all(fd), " 200 "));
    (void)close(fd);
  }
  ck_assert_uint_eq(http_server_connections(server), 0);
}
END_TEST

/* Those that open connections and say nothing lose them, oldest first, and never keep others out. */
START_TEST(silent_connections_are_evicted)
{
  unsigned calls = 0;
  int fds[40];
  unsigned before = open_fds();
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  for (size_t i = 0; i < 40; i++) {
    fds[i] = dial();
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    ck_assert_int_eq(status_of(ask_for("GET", "/a")), 200);
  }
  ck_assert_uint_le(http_server_connections(server), 9);
  ck_assert_uint_eq(calls, 40);
  ck_assert_str_eq(read_all(fds[0]), "");
  for (size_t i = 0; i < 40; i++)
    (void)close(fds[i]);
  while (http_server_connections(server) != 0)
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
  ck_assert_uint_eq(open_fds(), before);
}
END_TEST

static void turn(void)
{
  ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
}

static void say(int fd, const char *text)
{
  ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

#define GET_A      "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define LAST_GET_A "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* One answer to a request on |fd|, which stays open. */
static void get_answer(int fd)
{
  char text[RESPONSE_MAX];
  ssize_t n;
  say(fd, GET_A);
  while ((n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) < 0)
    turn();
  text[n] = '\0';
  ck_assert_int_eq(status_of(text), 200);
  turn();
}

/* A flood ends those that wait, but not the one whose request is there: it came before all of the flood, and nobody had time to look at
 * it. */
START_TEST(a_flood_does_not_end_a_check_that_is_being_made)
{
  unsigned calls = 0;
  int flood[40];
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  const int check = dial();
  turn();
  say(check, LAST_GET_A);
  for (size_t i = 0; i < 40; i++)
    flood[i] = dial();
  ck_assert_int_eq(status_of(read_all(check)), 200);
  (void)close(check);
  for (size_t i = 0; i < 40; i++)
    (void)close(flood[i]);
}
END_TEST

/* Nor does it end one of another address whose request is still under way, however many come, and whatever they have begun to say. */
START_TEST(a_flood_ends_none_but_its_own)
{
  unsigned calls = 0;
  int flood[40];
  if (_i == 1) { /* where IPv4 has addresses of IPv6 */
    const fzr_addr all = fzt_addr("[::]:0");
    http_server_free(server);
    server = http_server_new(base, &all, 8);
    ck_assert_ptr_nonnull(server);
  }
  (void)signal(SIGPIPE, SIG_IGN); /* as in the program: one that ends may have been about to be answered */
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  const int early = dial();
  turn();
  for (unsigned i = 0; i < 6; i++) {
    const int check = dial_from("127.0.0.2");
    const unsigned said = i % 3;
    turn();
    for (size_t k = 0; k < 40; k++) {
      flood[k] = dial_from("127.0.0.3");
      if (said != 0)
        say(flood[k], said == 1 ? "G" : GET_A);
      if (i < 3)
        turn();
    }
    turn();
    say(check, LAST_GET_A);
    ck_assert_int_eq(status_of(read_all(check)), 200);
    (void)close(check);
    for (size_t k = 0; k < 40; k++)
      (void)close(flood[k]);
    ck_assert_uint_le(http_server_connections(server), 9);
  }
  /* The oldest of all, too, which has been silent all the time. */
  get_answer(early);
  (void)close(early);
}
END_TEST

/* Whoever was answered last is spared: not who came last. Of those that wait, what they have sent of a request does not count. */
START_TEST(the_oldest_idle_connection_goes_first)
{
  unsigned calls = 0;
  int more[8];
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  const int used = dial();
  turn();
  const int dribbling = dial();
  turn();
  say(dribbling, "GET /a HTTP/1.1\r\n");
  get_answer(used);
  say(dribbling, "X: y\r\n");
  turn();
  for (size_t i = 0; i < 7; i++) {
    more[i] = dial();
    turn();
  }
  ck_assert_str_eq(read_all(dribbling), "");
  get_answer(used);
  (void)close(used);
  (void)close(dribbling);
  for (size_t i = 0; i < 7; i++)
    (void)close(more[i]);
}
END_TEST

static void long_answer(void *ctx, const http_request *request, http_response *response)
{
  static char text[20000];
  (void)ctx;
  (void)request;
  memset(text, 'x', sizeof text);
  (void)evbuffer_add(response->body, text, sizeof text);
}

/* Requests one after the other whose answers nobody takes. */
START_TEST(unread_pipelined_requests_are_not_kept)
{
  enum { CONNECTIONS = 8, ROUNDS = 400 };
  int fds[CONNECTIONS];
  char many[sizeof GET_A * 1000] = "";
  for (char *p = many; (size_t)(p - many) + sizeof GET_A <= sizeof many; p += sizeof GET_A - 1)
    memcpy(p, GET_A, sizeof GET_A);
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", long_answer, NULL), 0);
  turn();
  const size_t before = held;
  size_t most = 0, sent = 0;
  for (unsigned i = 0; i < CONNECTIONS; i++) {
    const int small = 4096;
    fds[i] = dial();
    (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (unsigned i = 0; i < CONNECTIONS; i++) {
      const ssize_t n = send(fds[i], many, strlen(many), MSG_NOSIGNAL | MSG_DONTWAIT);
      sent += n > 0 ? (size_t)n : 0;
    }
    turn();
    most = held - before > most ? held - before : most;
  }
  ck_assert_uint_gt(sent, (size_t)CONNECTIONS * 100000); /* they did try */
  ck_assert_uint_lt(most, (size_t)CONNECTIONS * 100000);
  ck_assert_uint_eq(http_server_connections(server), CONNECTIONS);
  for (unsigned i = 0; i < CONNECTIONS; i++)
    (void)close(fds[i]);
}
END_TEST

static int last_error;

static void count_shortage(void *ctx, int error, unsigned ended)
{
  unsigned *const counts = ctx;
  last_error = error;
  counts[0]++;
  counts[1] += ended;
}

/* Descriptors are used up by others: a check is answered all the same, and the loop does not run in vain. */
START_TEST(without_descriptors_checks_are_answered)
{
  enum { SILENT = 30 };
  unsigned calls = 0, counts[2] = {0, 0};
  int fds[SILENT];
  struct rlimit limit, low;
  ck_assert_int_eq(http_server_route(server, EVHTTP_REQ_GET, "/a", echo, &calls), 0);
  http_server_on_shortage(server, count_shortage, counts);
  for (size_t i = 0; i < SILENT; i++)
    fds[i] = dial();
  const int check = dial();
  const int last = dial();
  say(check, LAST_GET_A);
  say(last, LAST_GET_A);
  ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
  low = limit;
  low.rlim_cur = (rlim_t)last + 1;
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
  ck_assert_int_eq(status_of(read_all(check)), 200);
  ck_assert_int_eq(status_of(read_all(last)), 200);
  ck_assert_uint_ge(counts[1], SILENT - 8);
  (void)close(check);
  (void)close(last);
  for (size_t i = 0; i < SILENT; i++)
    (void)close(fds[i]);
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  /* With descriptors again all are served. */
  ck_assert_int_eq(status_of(ask(LAST_GET_A)), 200);
}
END_TEST

/* Nothing can be closed to make room: the loop tries again now and then, and sleeps in between. */
START_TEST(what_can_not_be_accepted_does_not_keep_the_loop_busy)
{
  unsigned counts[2] = {0, 0};
  struct rlimit limit, none;
  http_server_on_shortage(server, count_shortage, counts);
  const int waiting = dial(), second = dial();
  ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = limit;
  none.rlim_cur = 3;
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
  const struct timeval end = {0, 200000};
  (void)event_base_loopexit(base, &end);
  ck_assert_int_ge(event_base_dispatch(base), 0);
  ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ck_assert_uint_ge(counts[0], 2);
  ck_assert_uint_le(counts[0], 22);
  ck_assert_int_eq(last_error, EMFILE);
  (void)close(waiting);
  (void)close(second);
}
END_TEST

/* From here on the system call |number| ends with |error|, as a container's filter may have it. */
static void refuse(long number, int error)
{
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Filters that are older than statx, as those of some containers are, take nothing of the limit. */
START_TEST(the_limit_holds_without_statx)
{
  int fds[40];
  refuse(__NR_statx, EPERM);
  for (size_t i = 0; i < 40; i++) {
    fds[i] = dial();
    turn();
  }
  ck_assert_uint_ge(http_server_connections(server), 8);
  ck_assert_uint_le(http_server_connections(server), 9);
  ck_assert_str_eq(read_all(fds[0]), "");
  for (size_t i = 0; i < 40; i++)
    (void)close(fds[i]);
  while (http_server_connections(server) != 0)
    turn();
}
END_TEST

/* What is not for want of descriptors is not told as if it were, and ends nobody. */
START_TEST(other_errors_of_accept_are_told)
{
  unsigned counts[2] = {0, 0};
  http_server_on_shortage(server, count_shortage, counts);
  const int open = dial();
  while (http_server_connections(server) == 0)
    turn();
  refuse(__NR_accept4, ENOBUFS);
  const int waiting = dial();
  while (counts[0] == 0)
    turn();
  ck_assert_int_eq(last_error, ENOBUFS);
  ck_assert_uint_eq(counts[1], 0);
  ck_assert_uint_eq(http_server_connections(server), 1);
  (void)close(open);
  (void)close(waiting);
}
END_TEST

/* Connections that come faster than the loop turns wait for it: none is made to try again, which takes a second. */
START_TEST(a_burst_does_not_wait)
{
  enum { BURST = 300 };
  const fzr_addr addr = http_server_addr(server);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(addr.port)};
  int fds[BURST];
  memcpy(&to.sin_addr, addr.ip, 4);
  for (size_t i = 0; i < BURST; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(fds[i], 0);
    ck_assert(connect(fds[i], (const struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
  }
  for (size_t i = 0; i < BURST; i++) {
    struct pollfd waiting = {.fd = fds[i], .events = POLLOUT};
    ck_assert_msg(poll(&waiting, 1, 500) == 1 && waiting.revents == POLLOUT, "connection %zu", i);
  }
  for (size_t i = 0; i < BURST; i++)
    (void)close(fds[i]);
}
END_TEST

START_TEST(open_connections_end_with_the_server)
{
  fzr_addr addr = fzt_addr("127.0.0.1");
  unsigned before = open_fds();
  struct event_base *own_base = event_base_new();
  http_server *kept = server;
  struct event_base *kept_base = base;
  base = own_base;
  server = http_server_new(own_base, &addr, 0);
  ck_assert_ptr_nonnull(server);
  int fd = dial();
  while (http_server_connections(server) == 0)
    ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
  http_server_free(server);
  event_base_free(own_base);
  (void)close(fd);
  base = kept_base;
  server = kept;
  ck_assert_uint_eq(open_fds(), before);
}
END_TEST

START_TEST(taken_port_is_told)
{
  fzr_addr addr = http_server_addr(server);
  ck_assert_uint_ne(addr.port, 0);
  ck_assert_ptr_null(http_server_new(base, &addr, 0));
  ck_assert_int_eq(errno, EADDRINUSE);
}
END_TEST

static const char *readiness(void *ctx)
{
  return *(const char *const *)ctx;
}

START_TEST(health_routes)
{
  const char *reason = "not relaying";
  const health_source source = {&reason, readiness};
  struct health *health = health_new(server, &source);
  ck_assert_ptr_nonnull(health);
  ck_assert_int_eq(status_of(ask_for("GET", "/healthz")), 200);
  const char *answer = ask_for("GET", "/readyz");
  ck_assert_int_eq(status_of(answer), 503);
  ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\nnot relaying\n"));
  reason = NULL;
  ck_assert_int_eq(status_of(ask_for("GET", "/healthz")), 200);
  ck_assert_int_eq(status_of(ask_for("GET", "/readyz")), 200);
  ck_assert_int_eq(status_of(ask_for("POST", "/healthz")), 405);
  health_free(health);
}
END_TEST

int main(void)
{
  event_set_mem_functions(count_malloc, count_realloc, count_free);
  Suite *suite = suite_create("http_server");
  TCase *tc = tcase_create("server");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, routes_by_method_and_path);
  tcase_add_test(tc, head_has_no_body);
  tcase_add_test(tc, no_answer_to_head_has_a_body);
  tcase_add_test(tc, no_refusal_has_a_body);
  tcase_add_test(tc, unknown_is_404_and_405);
  tcase_add_test(tc, headers_and_bodies_are_limited);
  tcase_add_test(tc, garbage_does_no_harm);
  tcase_add_test(tc, silent_connections_are_evicted);
  tcase_add_test(tc, a_flood_does_not_end_a_check_that_is_being_made);
  tcase_add_loop_test(tc, a_flood_ends_none_but_its_own, 0, 2);
  tcase_add_test(tc, the_oldest_idle_connection_goes_first);
  tcase_add_test(tc, unread_pipelined_requests_are_not_kept);
  tcase_add_test(tc, without_descriptors_checks_are_answered);
  tcase_add_test(tc, what_can_not_be_accepted_does_not_keep_the_loop_busy);
  tcase_add_test(tc, open_connections_end_with_the_server);
  tcase_add_test(tc, taken_port_is_told);
  tcase_add_test(tc, health_routes);
  tcase_add_test(tc, a_burst_does_not_wait);
  tcase_add_test(tc, the_limit_holds_without_statx);
  tcase_add_test(tc, other_errors_of_accept_are_told);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
