/* SPDX-License-Identifier: Apache-2.0 */
/* A collector that takes whatever is exported to it by OTLP/gRPC, keeps nothing of it, and counts:
 *
 *   fzr-collector
 *
 * Prints where it listens ("127.0.0.1:PORT"), and for each line on standard input one with how many messages it took, and of how many bytes,
 * of metrics and of spans. Ends with standard input.
 *
 * In earnest a collector has a machine of its own. This one takes so little of the CPU that it hardly disturbs the generator that it shares one
 * with; one in Python takes some 2 ms for each message. Its priority is the generator's, which lets it run between two requests. It looks every
 * few milliseconds for what came, for to wake it up would be the exporter's work, up to 50 us on a virtual machine. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#define CONNECTIONS 8
#define WINDOW      (1 << 24)
#define EVERY       5000000 /* ns */

enum kind { METRICS, SPANS, KINDS };

static const char *const kind_names[KINDS] = {"metrics", "spans"};
static uint64_t messages[KINDS], bytes[KINDS];

static nghttp2_session *sessions[CONNECTIONS];
static int fds[CONNECTIONS];

static nghttp2_nv header(const char *name, const char *value)
{
  return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* An empty message: all was taken. What follows it is the status. */
static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap, uint32_t *flags,
                           nghttp2_data_source *source, void *ctx)
{
  const nghttp2_nv trailer = header("grpc-status", "0");
  (void)source;
  (void)ctx;
  if (cap < 5)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  memset(out, 0, 5);
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  return nghttp2_submit_trailer(session, id, &trailer, 1) ? NGHTTP2_ERR_CALLBACK_FAILURE : 5;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
  static const char metrics_path[] = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
  (void)flags;
  (void)ctx;
  if (name_len != 5 || memcmp(name, ":path", 5) != 0)
    return 0;
  const bool metrics = value_len == sizeof metrics_path - 1 && memcmp(value, metrics_path, value_len) == 0;
  messages[metrics ? METRICS : SPANS]++;
  return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                              &bytes[metrics ? METRICS : SPANS]);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *ctx)
{
  uint64_t *sum = nghttp2_session_get_stream_user_data(session, id);
  (void)flags;
  (void)data;
  (void)ctx;
  if (sum)
    *sum += len;
  return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
  const bool request = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
  const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc")};
  const nghttp2_data_provider body = {{.ptr = NULL}, read_answer};
  (void)ctx;
  if (!request || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
    return 0;
  return nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &body);
}

static ssize_t send_some(nghttp2_session *session, const uint8_t *data, size_t len, int flags, void *ctx)
{
  const ssize_t n = send(*(const int *)ctx, data, len, MSG_NOSIGNAL);
  (void)session;
  (void)flags;
  return n >= 0 ? n : errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int open_session(int *fd, nghttp2_session **session)
{
  static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
  nghttp2_session_callbacks *callbacks;
  if (nghttp2_session_callbacks_new(&callbacks))
    return -1;
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_send_callback(callbacks, send_some);
  const int failed = nghttp2_session_server_new(session, callbacks, fd);
  nghttp2_session_callbacks_del(callbacks);
  return failed || nghttp2_submit_settings(*session, NGHTTP2_FLAG_NONE, settings, 1) ||
                 nghttp2_session_set_local_window_size(*session, NGHTTP2_FLAG_NONE, 0, WINDOW)
             ? -1
             : 0;
}

static void close_connection(int i)
{
  nghttp2_session_del(sessions[i]);
  sessions[i] = NULL;
  close(fds[i]);
  fds[i] = -1;
}

static void accept_one(int listener)
{
  const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
  int i = 0;
  while (i < CONNECTIONS && fds[i] >= 0)
    i++;
  if (fd < 0 || i == CONNECTIONS) {
    close(fd);
    return;
  }
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fds[i] = fd;
  if (open_session(&fds[i], &sessions[i]))
    close_connection(i);
}

static void serve(int i)
{
  static uint8_t buffer[1 << 18];
  const ssize_t n = recv(fds[i], buffer, sizeof buffer, 0);
  if (n < 0 && errno == EAGAIN)
    return;
  if (n <= 0 || nghttp2_session_mem_recv(sessions[i], buffer, (size_t)n) < 0 ||
      nghttp2_session_send(sessions[i]))
    close_connection(i);
}

static int listen_on_loopback(void)
{
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof addr;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof addr) || listen(fd, CONNECTIONS) ||
      getsockname(fd, (struct sockaddr *)&addr, &len))
    return -1;
  printf("127.0.0.1:%u\n", ntohs(addr.sin_port));
  return fd;
}

static void tell(void)
{
  for (int k = 0; k < KINDS; k++)
    printf("%s%s: %llu messages, %llu bytes", k ? "; " : "", kind_names[k], (unsigned long long)messages[k],
           (unsigned long long)bytes[k]);
  printf("\n");
  fflush(stdout);
}

int main(void)
{
  const struct timespec pause = {0, EVERY};
  const int listener = listen_on_loopback();
  if (listener < 0) {
    perror("fzr-collector");
    return 1;
  }
  fflush(stdout);
  (void)setpriority(PRIO_PROCESS, 0, -20);
  for (int i = 0; i < CONNECTIONS; i++)
    fds[i] = -1;
  for (;;) {
    char line[64];
    struct pollfd polled[CONNECTIONS + 2] = {{STDIN_FILENO, POLLIN, 0}, {listener, POLLIN, 0}};
    for (int i = 0; i < CONNECTIONS; i++)
      polled[2 + i] = (struct pollfd){fds[i], POLLIN, 0};
    if (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL) || poll(polled, CONNECTIONS + 2, 0) < 0)
      return 1;
    for (int i = 0; i < CONNECTIONS; i++)
      if (polled[2 + i].revents)
        serve(i);
    if (polled[1].revents)
      accept_one(listener);
    if (polled[0].revents) {
      if (read(STDIN_FILENO, line, sizeof line) <= 0)
        return 0;
      tell();
    }
  }
}
