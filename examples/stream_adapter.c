/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_adapter.h"

#include <firezone_relay/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64
/* The longest message on a stream: 4 bytes of header and 65535 of data, padded. */
#define MESSAGE_MAX 65540u
/* Messages that are handed to the driver in one call. */
#define BATCH 16u

typedef struct connection {
  int fd; /* -1: free */
  fzr_addr from;
  size_t have; /* bytes read that are no whole message yet */
  size_t left; /* bytes to write that the stream did not take */
  uint8_t in[2 * MESSAGE_MAX];
  uint8_t out[4 * MESSAGE_MAX];
} connection;

struct stream_adapter {
  fzr_driver *driver;
  fzr_addr listen;
  connection *connections[MAX_CONNECTIONS]; /* NULL: free */
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
  /* RFC 8656 section 12.5: on streams ChannelData is padded to four bytes. STUN messages are of such a length anyway. */
  const size_t padded = (len + 3) / 4 * 4;
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

/* What the message that begins with the |have| bytes at |data| takes of the stream, and in *|len| what it is without padding. 0: that
 * is not known yet. -1: what comes is no STUN or ChannelData, and never will be. */
static int message_at(const uint8_t *data, size_t have, uint32_t *len)
{
  if (have < 4)
    return 0;
  const uint32_t told = (uint32_t)data[2] << 8 | data[3];
  switch (data[0] >> 6) {
  case 0:
    *len = FZR_STUN_HEADER_LEN + told;
    return told % 4 ? -1 : (int)*len;
  case 1:
    *len = 4 + told;
    return (int)((*len + 3) / 4 * 4);
  default:
    return -1;
  }
}

/* Relays the whole messages that have come. Returns -1 when the stream is of no use any more. */
static int relay(stream_adapter *a, connection *c, fzr_time now)
{
  fzr_pkt pkts[BATCH];
  size_t at = 0, n;
  do {
    uint32_t len = 0;
    int taken = 0;
    for (n = 0; n < BATCH; n++) {
      taken = message_at(c->in + at, c->have - at, &len);
      if (taken <= 0 || (size_t)taken > c->have - at)
        break;
      memset(&pkts[n], 0, sizeof pkts[n]);
      pkts[n].data = c->in + at;
      pkts[n].len = len;
      pkts[n].from = c->from;
      pkts[n].to = a->listen;
      at += (size_t)taken;
    }
    if (n)
      fzr_driver_rx(a->driver, FZR_SIDE_CLIENT, pkts, n, now);
    if (taken < 0)
      return -1;
  } while (n == BATCH);
  c->have -= at;
  memmove(c->in, c->in + at, c->have);
  return 0;
}

/* Returns -1 when the connection has ended. */
static int read_some(stream_adapter *a, connection *c, fzr_time now)
{
  const ssize_t n = read(c->fd, c->in + c->have, sizeof c->in - c->have);
  if (n < 0)
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (n == 0)
    return -1;
  c->have += (size_t)n;
  return relay(a, c, now);
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
  c->have = c->left = 0;
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
