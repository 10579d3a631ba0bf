/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_adapter.h"

#include <firezone_relay/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64
/* Messages that are handed to the driver in one call. */
#define BATCH 16u

typedef struct connection {
  int fd; /* -1: free */
  fzr_addr from;
  fzr_stream *framing;
  size_t left; /* bytes to write that the stream did not take */
  uint8_t out[4 * FZR_STREAM_MESSAGE_MAX];
} connection;

struct stream_adapter {
  fzr_driver *driver;
  fzr_addr listen;
  connection *connections[MAX_CONNECTIONS]; /* NULL: free */
  uint8_t in[65536];                        /* what was just read of one of them */
};

/* ---- writing ---- */

static connection *connection_of(const stream_adapter *a, const fzr_addr *client)
{
  for (size_t i = 0; i < MAX_CONNECTIONS; i++)
    if (a->connections[i] && fzr_addr_equal(&a->connections[i]->from, client))
      return a->connections[i];
  return NULL; /* it has gone, and its allocation is about to */
}

static void write_left(connection *c)
{
  /* To one who has gone write would raise SIGPIPE, which ends the process. */
  const ssize_t n = c->left ? send(c->fd, c->out, c->left, MSG_NOSIGNAL) : 0;
  if (n <= 0)
    return; /* full, or gone: reading will tell */
  c->left -= (size_t)n;
  memmove(c->out, c->out + n, c->left);
}

/* Sends a message that is in |count| parts, or keeps it until the stream takes more; one that has no room is lost, as on the way by
 * UDP. A message is never cut: what follows would be no message. */
static void send_parts(connection *c, const struct iovec *parts, size_t count)
{
  size_t len = 0;
  for (size_t i = 0; i < count; i++)
    len += parts[i].iov_len;
  const size_t padded = len + fzr_stream_padding(len);
  if (padded > sizeof c->out - c->left)
    return;
  for (size_t i = 0; i < count; i++) {
    memcpy(c->out + c->left, parts[i].iov_base, parts[i].iov_len);
    c->left += parts[i].iov_len;
  }
  memset(c->out + c->left, 0, padded - len);
  c->left += padded - len;
  write_left(c);
}

static void forward(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now)
{
  const stream_adapter *a = (const stream_adapter *)io;
  (void)now;
  for (size_t i = 0; i < n; i++) {
    const fzr_verdict *v = &verdicts[i];
    connection *c = v->action == FZR_ACT_FORWARD ? connection_of(a, &v->to) : NULL;
    for (uint16_t k = 0; c && k < v->count; k++) {
      struct iovec parts[FZR_DATAGRAM_IOVECS];
      const size_t count = fzr_verdict_iovecs(v, k, parts);
      send_parts(c, parts, count);
    }
  }
}

static void transmit(void *io, const fzr_transmit *answers, size_t n, fzr_time now)
{
  const stream_adapter *a = (const stream_adapter *)io;
  (void)now;
  for (size_t i = 0; i < n; i++) {
    connection *c = connection_of(a, &answers[i].to);
    struct iovec part;
    part.iov_base = (void *)(uintptr_t)answers[i].data;
    part.iov_len = answers[i].len;
    if (c)
      send_parts(c, &part, 1);
  }
}

/* ---- reading ---- */

/* Relays the whole messages among the |len| bytes at |data|. Returns -1 when the stream is of no use any more. */
static int relay(stream_adapter *a, connection *c, const uint8_t *data, size_t len, fzr_time now)
{
  fzr_pkt pkts[BATCH];
  fzr_stream_batch batch;
  memset(&batch, 0, sizeof batch);
  batch.data = data;
  batch.len = len;
  batch.out = pkts;
  batch.room = BATCH;
  while (batch.len) {
    const int error = fzr_stream_read(c->framing, &batch);
    if (batch.written)
      fzr_driver_rx(a->driver, FZR_SIDE_CLIENT, pkts, batch.written, now);
    if (error || batch.reason)
      return -1;
  }
  return 0;
}

/* Returns -1 when the connection has ended. */
static int read_some(stream_adapter *a, connection *c, fzr_time now)
{
  const ssize_t n = read(c->fd, a->in, sizeof a->in);
  if (n < 0)
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (n == 0)
    return -1;
  return relay(a, c, a->in, (size_t)n, now);
}

/* ---- connections ---- */

stream_adapter *stream_adapter_new(fzr_driver *driver, const fzr_addr *listen, int *error)
{
  fzr_io_ops ops = fzr_io_ops_init();
  ops.forward = forward;
  ops.transmit = transmit;
  stream_adapter *a = (stream_adapter *)calloc(1, sizeof *a);
  *error = FZR_ERR_NO_MEMORY;
  if (!a)
    return NULL;
  a->driver = driver;
  a->listen = *listen;
  /* fzr_engine_add_listen_port is not for this port: what is relayed is UDP, and never comes here. */
  *error = fzr_driver_add(driver, (enum fzr_transport)listen->transport, &ops, a);
  if (!*error)
    return a;
  free(a);
  return NULL;
}

/* The client has gone: on a stream its allocation ends with the connection. */
static void end_connection(stream_adapter *a, size_t i, fzr_time now)
{
  fzr_engine_end_allocation(fzr_driver_engine(a->driver), &a->connections[i]->from, &a->listen, now);
  close(a->connections[i]->fd);
  fzr_stream_free(a->connections[i]->framing);
  free(a->connections[i]);
  a->connections[i] = NULL;
}

void stream_adapter_free(stream_adapter *a, fzr_time now)
{
  if (!a)
    return;
  fzr_driver_remove(a->driver, (enum fzr_transport)a->listen.transport, a);
  for (size_t i = 0; i < MAX_CONNECTIONS; i++)
    if (a->connections[i])
      end_connection(a, i, now);
  free(a);
}

int stream_adapter_add(stream_adapter *a, int fd, const fzr_addr *from)
{
  size_t i = 0;
  while (i < MAX_CONNECTIONS && a->connections[i])
    i++;
  connection *c = i < MAX_CONNECTIONS ? (connection *)malloc(sizeof *c) : NULL;
  if (!c)
    return -1;
  c->fd = fd;
  c->from = *from;
  c->from.transport = a->listen.transport;
  c->left = 0;
  if (fzr_stream_new(&c->from, &a->listen, NULL, &c->framing)) {
    free(c);
    return -1;
  }
  a->connections[i] = c;
  return 0;
}

size_t stream_adapter_poll_fds(const stream_adapter *a, struct pollfd *fds, size_t max)
{
  size_t n = 0;
  for (size_t i = 0; i < MAX_CONNECTIONS && n < max; i++) {
    const connection *c = a->connections[i];
    if (!c)
      continue;
    fds[n].fd = c->fd;
    fds[n].events = (short)(POLLIN | (c->left ? POLLOUT : 0));
    fds[n++].revents = 0;
  }
  return n;
}

void stream_adapter_on_ready(stream_adapter *a, const struct pollfd *fds, size_t n, fzr_time now)
{
  for (size_t k = 0; k < n; k++)
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
      connection *c = a->connections[i];
      if (!c || c->fd != fds[k].fd)
        continue;
      if (fds[k].revents & POLLOUT)
        write_left(c);
      if (fds[k].revents & ~POLLOUT && read_some(a, c, now))
        end_connection(a, i, now);
      break;
    }
}
