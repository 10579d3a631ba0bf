/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends on a stream, message by message: RFC 8656 sections 3.1 and 12.5. */
#include "firezone_relay/stream.h"

#include "../base/bytes.h"
#include "../base/mem.h"

#include <assert.h>

/* All that is needed to know where a message ends. */
#define HEADER 4u
/* A buffer of this size is kept for the next message that is cut: most are no longer. */
#define ROOM_MIN 2048u

static_assert(sizeof(void *) != 8 || sizeof(fzr_stream_batch) == 48, "frozen");
static_assert(FZR_CHANNEL_HEADER_LEN == HEADER && FZR_STUN_HEADER_LEN > HEADER, "both tell their length");

struct fzr_stream {
  fzri_mem mem;
  fzr_addr client;
  fzr_addr server;
  uint8_t *carry;  /* the message that is cut, or that was handed out by the last call; NULL: none */
  uint32_t room;   /* bytes there are at |carry| */
  uint32_t have;   /* bytes of it that have come */
  uint32_t limit;  /* of a message */
  bool handed_out; /* it is whole, and a packet points to it */
  enum fzr_drop_reason reason;
};

/* Where a message ends. */
typedef struct extent {
  uint32_t len;   /* without padding */
  uint32_t total; /* what it takes of the stream */
} extent;

/* Looks at the |len| bytes at |data|, at least one, with which a message begins. Where there are as many as a header has, |out| gets the
 * message's extent. */
static enum fzr_drop_reason measure(const uint8_t *data, size_t len, uint32_t limit, extent *out)
{
  const bool stun = data[0] < 0x04; /* RFC 7983 */
  if (data[0] == 22)                /* a handshake, as TLS begins: RFC 8446 section 5.1 */
    return FZR_DROP_TLS;
  if (!stun && (data[0] & 0xf0) != 0x40)
    return FZR_DROP_NOT_STUN;
  if (len < HEADER)
    return FZR_DROP_NONE;
  const uint32_t told = fzri_get16(data + 2);
  if (stun && told % 4)
    return FZR_DROP_STUN_LENGTH;
  out->len = told + (stun ? FZR_STUN_HEADER_LEN : FZR_CHANNEL_HEADER_LEN);
  out->total = out->len + (uint32_t)fzr_stream_padding(out->len);
  return out->total <= limit ? FZR_DROP_NONE : FZR_DROP_TOO_LARGE;
}

int fzr_stream_new(const fzr_addr *client, const fzr_addr *server, const fzr_mem *hooks, fzr_stream **out)
{
  fzri_mem mem;
  if (!client || !server || !out)
    return FZR_ERR_INVALID_ARGUMENT;
  const int error = fzri_mem_init(&mem, hooks);
  if (error)
    return error;
  fzr_stream *s = fzri_mem_zalloc(&mem, sizeof *s);
  if (!s)
    return FZR_ERR_NO_MEMORY;
  s->mem = mem;
  s->client = *client;
  s->server = *server;
  s->limit = FZR_STREAM_MESSAGE_MAX;
  *out = s;
  return 0;
}

static void drop_carry(fzr_stream *s)
{
  fzri_mem_free(&s->mem, s->carry, s->room);
  s->carry = NULL;
  s->room = 0;
}

void fzr_stream_free(fzr_stream *s)
{
  if (!s)
    return;
  drop_carry(s);
  fzri_mem mem = s->mem;
  fzri_mem_free(&mem, s, sizeof *s);
}

void fzr_stream_set_limit(fzr_stream *s, uint32_t bytes)
{
  if (s)
    s->limit = bytes && bytes < FZR_STREAM_MESSAGE_MAX ? bytes : FZR_STREAM_MESSAGE_MAX;
}

size_t fzr_stream_held(const fzr_stream *s, const uint8_t **data)
{
  const size_t len = s && !s->handed_out ? s->have : 0;
  if (data)
    *data = len ? s->carry : NULL;
  return len;
}

/* Makes room for |bytes|, which are no more than a message may have, twice as much as there was. */
static int reserve(fzr_stream *s, uint32_t bytes)
{
  uint32_t room = s->room ? s->room : ROOM_MIN;
  while (room < bytes)
    room *= 2;
  if (room == s->room)
    return 0;
  uint8_t *larger = fzri_mem_zalloc(&s->mem, room);
  if (!larger)
    return FZR_ERR_NO_MEMORY;
  if (s->have)
    memcpy(larger, s->carry, s->have);
  drop_carry(s);
  s->carry = larger;
  s->room = room;
  return 0;
}

/* Moves bytes of |b| to what is carried until that are |want|, or there are none left. */
static int carry(fzr_stream *s, fzr_stream_batch *b, uint32_t want)
{
  const size_t lacks = want > s->have ? want - s->have : 0;
  const size_t n = b->len < lacks ? b->len : lacks;
  const int error = reserve(s, s->have + (uint32_t)n);
  if (error)
    return error;
  memcpy(s->carry + s->have, b->data, n);
  s->have += (uint32_t)n;
  b->data += n;
  b->len -= n;
  return 0;
}

static void hand_out(const fzr_stream *s, fzr_stream_batch *b, const uint8_t *data, uint32_t len)
{
  b->out[b->written++] = (fzr_pkt){.data = data, .len = len, .from = s->client, .to = s->server};
}

/* Goes on with the message that is carried. */
static int complete(fzr_stream *s, fzr_stream_batch *b)
{
  extent m;
  int error = carry(s, b, HEADER);
  if (!error)
    s->reason = measure(s->carry, s->have, s->limit, &m);
  if (error || s->reason || s->have < HEADER)
    return error;
  error = carry(s, b, m.total);
  if (error || s->have < m.total)
    return error;
  hand_out(s, b, s->carry, m.len);
  s->handed_out = true;
  return 0;
}

/* Takes messages from the batch's own bytes. Returns whether what is left is one that is cut. */
static bool take_whole(fzr_stream *s, fzr_stream_batch *b)
{
  while (b->len && b->written < b->room) {
    extent m = {0, 0}; /* gcc at -O3 does not see that it is looked at with a whole header alone */
    s->reason = measure(b->data, b->len, s->limit, &m);
    if (s->reason)
      return false;
    if (b->len < HEADER || b->len < m.total)
      return true;
    hand_out(s, b, b->data, m.len);
    b->data += m.total;
    b->len -= m.total;
  }
  return false;
}

/* What was handed out by the last call is not looked at any more. */
static void begin(fzr_stream *s)
{
  if (!s->handed_out)
    return;
  s->handed_out = false;
  s->have = 0;
  if (s->room > ROOM_MIN)
    drop_carry(s);
}

int fzr_stream_read(fzr_stream *s, fzr_stream_batch *b)
{
  int error = 0;
  if (!s || !b || !b->out || !b->room || (!b->data && b->len))
    return FZR_ERR_INVALID_ARGUMENT;
  b->written = 0;
  begin(s);
  if (s->have && b->len && !s->reason)
    error = complete(s, b);
  /* What is cut has to wait for the next call if the buffer has a message that was just handed out. */
  if (!error && !s->reason && take_whole(s, b) && !s->handed_out)
    error = carry(s, b, FZR_STREAM_MESSAGE_MAX);
  b->reason = s->reason;
  if (s->reason)
    b->len = 0;
  return error;
}
