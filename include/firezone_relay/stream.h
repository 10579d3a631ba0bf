/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stream.h
 * Framing for clients on streams, TCP or TLS: bytes go in, messages come out, as packets for
 * fzr_driver_rx or fzr_engine_rx. STUN messages and ChannelData follow each other without anything
 * between them, and ChannelData is padded to a multiple of 4 (RFC 8656 sections 3.1 and 12.5).
 *
 * A message that lies whole in the bytes that were read is not copied. One that is cut waits in a
 * buffer of the stream's until the rest has come. Memory is taken for that alone, as much as there
 * are bytes of it.
 *
 * To a client, write the datagrams of verdicts (fzr_verdict_iovecs) and answers one after another,
 * each with the zeros behind it that fzr_stream_padding asks for, and never a part of one alone.
 *
 * On a stream an allocation lives as long as its connection: when that ends, call
 * fzr_engine_end_allocation. The 5-tuple has the transport in it (fzr_addr.transport).
 */
#ifndef FIREZONE_RELAY_STREAM_H
#define FIREZONE_RELAY_STREAM_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The most bytes of one message on a stream, with its header and padding. No datagram is longer, so
 * nothing that is could be relayed.
 */
#define FZR_STREAM_MESSAGE_MAX 65536u

/**
 * What one client sends on one connection. It is opaque, and for one thread at a time.
 */
typedef struct fzr_stream fzr_stream;

/**
 * `fzr_stream_new` makes the framing of a connection from |client| to the relay's address |server|.
 * Both are copied, and become `from` and `to` of the packets; set their `transport`. |mem| is
 * copied; NULL means malloc and free. On success *|out| is the caller's: fzr_stream_free takes it
 * back.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: |client|, |server| or |out| is NULL, or |mem| lacks a function or is
 *   too short. Mend the call.
 * - FZR_ERR_UNSUPPORTED: |mem| is of a later release and sets what this one does not know.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_stream_new(const fzr_addr *client, const fzr_addr *server, const fzr_mem *mem,
                           fzr_stream **out);

/**
 * `fzr_stream_free` frees |stream|; NULL is fine. It ends no allocation: see
 * fzr_engine_end_allocation.
 */
FZR_API void fzr_stream_free(fzr_stream *stream);

/**
 * `fzr_stream_set_limit` makes |bytes| the most that one message may take of the stream, with its
 * header and padding; 0, or more than that: FZR_STREAM_MESSAGE_MAX, as at first. It holds from
 * the next call of fzr_stream_read on. What strangers have to say is short: with a limit of 2048,
 * say, as long as the client has no allocation, a crowd of them cannot make the relay keep much.
 * |stream| NULL is fine.
 */
FZR_API void fzr_stream_set_limit(fzr_stream *stream, uint32_t bytes);

/**
 * Bytes for fzr_stream_read, and room for packets. The struct and both arrays are the caller's. Set
 * the first four members and let the others be zero. The struct is frozen: it will not grow.
 */
typedef struct fzr_stream_batch {
  /** What was read from the connection. A call moves it on over what it has taken. */
  const uint8_t *data;
  /** Bytes of it. A call makes it less by what it has taken. */
  size_t len;
  /** Where the packets go. What is in them before does not matter. */
  fzr_pkt *out;
  /** How many fit there; at least 1. */
  size_t room;
  /** How many packets the last call wrote, from the first one on. */
  size_t written;
  /** Why the stream is of no use any more, an enum fzr_drop_reason; FZR_DROP_NONE: it is. */
  enum fzr_drop_reason reason;
} fzr_stream_batch;

/**
 * `fzr_stream_read` takes bytes of |batch|, which follow those that |stream| was given before, and
 * writes a packet for each message that is whole then. A packet's `len` is without padding. Its
 * bytes are the batch's or the stream's own, and stay as they are until the next call on |stream|.
 * So hand the packets on, and call again as long as `len` is not 0: each call gets on.
 *
 * If what comes next is no message, `reason` says why: FZR_DROP_NOT_STUN or FZR_DROP_TLS for its
 * first byte, FZR_DROP_STUN_LENGTH where a length is no multiple of 4, FZR_DROP_TOO_LARGE where it
 * is over the limit. The messages before it are written all the same. What follows is thrown away,
 * now and by later calls, for nobody can tell where the next message begins: close the connection.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL (but for `data` where `len` is 0), or there is no
 *   room. Mend the call.
 * - FZR_ERR_NO_MEMORY: there is none to keep what is cut. The packets that were written are good,
 *   but the stream is not: close the connection.
 */
FZR_API int fzr_stream_read(fzr_stream *stream, fzr_stream_batch *batch);

/**
 * `fzr_stream_held` returns how many bytes |stream| keeps of a message that is not whole yet; 0 of
 * NULL. *|data| is where they are, until the next call on |stream|; |data| may be NULL. Given to
 * another stream as the first thing that is read, they have it go on in this one's place. O(1).
 */
FZR_API size_t fzr_stream_held(const fzr_stream *stream, const uint8_t **data);

/**
 * `fzr_stream_padding` returns how many zeros follow a message of |len| bytes on a stream, 0 to 3:
 * ChannelData has them, the length of a STUN message is a multiple of 4 (RFC 8656 section 12.5).
 */
static inline size_t fzr_stream_padding(size_t len)
{
  return (4 - len % 4) % 4;
}

#ifdef __cplusplus
}
#endif

#endif
