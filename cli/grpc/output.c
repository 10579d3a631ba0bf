/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc/output.h"

#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>

/* Bytes of one system call, one part more or less. While it lasts no worker gets the processor, unless the kernel is preemptible. */
#define AT_ONCE 32768u

void grpc_output_begin(grpc_output *o, struct bufferevent *bev, net_tls *tls)
{
  o->bev = bev;
  o->tls = tls;
  o->count = 0;
  o->bytes = o->used = 0;
}

/* Leaves the rest of the parts, without their first |skip| bytes, to the bufferevent. */
static int leave(const grpc_output *o, size_t skip)
{
  for (unsigned i = 0; i < o->count; i++) {
    const struct iovec *part = &o->parts[i];
    const size_t gone = skip < part->iov_len ? skip : part->iov_len;
    skip -= gone;
    if (gone < part->iov_len &&
        bufferevent_write(o->bev, (const uint8_t *)part->iov_base + gone, part->iov_len - gone))
      return -1;
  }
  return 0;
}

static int encrypt(const grpc_output *o)
{
  for (unsigned i = 0; i < o->count; i++) {
    const uint8_t *p = o->parts[i].iov_base;
    for (size_t left = o->parts[i].iov_len; left;) {
      const ssize_t n = net_tls_write(o->tls, p, left);
      if (n <= 0)
        return -1;
      p += n;
      left -= (size_t)n;
    }
  }
  return 0;
}

static int write_plain(const grpc_output *o)
{
  struct msghdr msg = {.msg_iov = (struct iovec *)o->parts, .msg_iovlen = o->count};
  ssize_t sent = 0;
  if (o->count && evbuffer_get_length(bufferevent_get_output(o->bev)) == 0)
    sent = sendmsg(bufferevent_getfd(o->bev), &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
  return (size_t)(sent > 0 ? sent : 0) < o->bytes ? leave(o, sent > 0 ? (size_t)sent : 0) : 0;
}

int grpc_output_end(grpc_output *o)
{
  const int failed = o->tls ? encrypt(o) : write_plain(o);
  grpc_output_begin(o, o->bev, o->tls);
  return failed;
}

/* Makes room for one more part, and for |len| bytes of copies if that is possible. */
static int make_room(grpc_output *o, size_t len)
{
  return o->count == GRPC_OUTPUT_PARTS || len > sizeof o->small - o->used ? grpc_output_end(o) : 0;
}

static int add(grpc_output *o, const uint8_t *bytes, size_t len)
{
  o->parts[o->count++] = (struct iovec){(uint8_t *)bytes, len};
  o->bytes += len;
  return o->bytes >= AT_ONCE ? grpc_output_end(o) : 0;
}

int grpc_output_refer(grpc_output *o, const uint8_t *bytes, size_t len)
{
  return make_room(o, 0) ? -1 : add(o, bytes, len);
}

int grpc_output_copy(grpc_output *o, const uint8_t *bytes, size_t len)
{
  if (make_room(o, len))
    return -1;
  if (len > sizeof o->small) /* it is written right away, or copied then */
    return add(o, bytes, len) || grpc_output_end(o) ? -1 : 0;
  uint8_t *copy = memcpy(o->small + o->used, bytes, len);
  o->used += len;
  return add(o, copy, len);
}
