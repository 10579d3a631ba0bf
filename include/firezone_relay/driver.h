/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file driver.h
 * The IO-adapter vtable, and the pump between an engine and its adapters. An adapter reads
 * datagrams in whatever way it likes, hands them to the driver in batches, and does what the
 * vtable's functions ask.
 *
 * A driver has one adapter for each transport that clients use (enum fzr_transport). The one for
 * UDP also has the ports of allocations, for relayed addresses are UDP's. An answer, or data for a
 * client, goes to the adapter of the client's transport, whichever adapter brought in what it
 * follows from. So an adapter sets `from.transport` and `to.transport` of the packets of its
 * clients to its own.
 *
 * udp.h is one adapter, for UDP.
 */
#ifndef FIREZONE_RELAY_DRIVER_H
#define FIREZONE_RELAY_DRIVER_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fzr_driver fzr_driver;

/**
 * What an adapter does for the driver. Functions must not call into the driver, but for where it is
 * said. One for UDP needs all functions but `channel`, the others `forward` and `transmit`.
 */
typedef struct fzr_io_ops {
  /** sizeof(fzr_io_ops). */
  size_t size;

  /**
   * Opens the socket of |family| and |port| and stores a cookie in *|cookie|. Returns 0,
   * FZR_ERR_IO_IN_USE (another port is tried), FZR_ERR_IO_PENDING (call fzr_driver_port_result
   * later), or another FZR_ERR_IO_….
   */
  int (*open_port)(void *io, uint16_t port, enum fzr_family family, void **cookie);

  /** Closes it. Datagrams of it that are still queued may be sent or dropped. */
  void (*close_port)(void *io, uint16_t port, enum fzr_family family, void *cookie);

  /**
   * Carries out the FZR_ACT_FORWARD verdicts among |n| verdicts, in order. Their headers stay valid
   * until it returns, their payloads until the fzr_driver_rx call returns; what can't be sent until
   * then must be copied, or dropped. |now| is that of the call from which they follow, for an
   * adapter that lets them wait. Required.
   */
  void (*forward)(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now);

  /** Sends |n| answers, whose bytes stay valid until it returns. Required. */
  void (*transmit)(void *io, const fzr_transmit *answers, size_t n, fzr_time now);

  /**
   * Hears of channels: |event| is CHANNEL_BOUND or CHANNEL_UNBOUND. Only the adapter for UDP does,
   * whatever the client's transport is, for `io` of the event is its cookie. NULL: does not care.
   */
  void (*channel)(void *io, const fzr_event *event);
} fzr_io_ops;

/** `fzr_io_ops_init` returns a vtable with `size` set and no functions. */
static inline fzr_io_ops fzr_io_ops_init(void)
{
  fzr_io_ops ops;
  memset(&ops, 0, sizeof ops);
  ops.size = sizeof ops;
  return ops;
}

/**
 * `fzr_driver_new` makes a driver of |engine|, without adapters. The engine stays the caller's and
 * must outlive the driver. |mem| as in fzr_config.
 *
 * Returns 0, FZR_ERR_INVALID_ARGUMENT, FZR_ERR_UNSUPPORTED or FZR_ERR_NO_MEMORY.
 */
FZR_API int fzr_driver_new(fzr_engine *engine, const fzr_mem *mem, fzr_driver **out);

/**
 * `fzr_driver_add` makes |ops|, whose functions get |io|, the adapter for clients of |transport|.
 * |ops| is copied. |io| stays the caller's; it must live until fzr_driver_remove, or outlive the
 * driver.
 *
 * Returns 0, or:
 * FZR_ERR_INVALID_ARGUMENT: |driver| or |ops| is NULL, |transport| is none, or a function is
 * missing.
 * FZR_ERR_UNSUPPORTED: |ops| has functions that this library does not know.
 * FZR_ERR_INVALID_STATE: there is one for |transport|; remove it first.
 */
FZR_API int fzr_driver_add(fzr_driver *driver, enum fzr_transport transport, const fzr_io_ops *ops, void *io);

/**
 * `fzr_driver_remove` forgets the adapter for |transport| if it was added with this |io|; if another
 * one has taken its place, that one stays. What is for its clients is dropped from then on. Without
 * an adapter for UDP new Allocates get 508, and no port is closed. Another one must not be added
 * before all allocations have ended, for it would get the cookies of the first.
 */
FZR_API void fzr_driver_remove(fzr_driver *driver, enum fzr_transport transport, const void *io);

/** `fzr_driver_engine` returns the engine; NULL of NULL. */
FZR_API fzr_engine *fzr_driver_engine(const fzr_driver *driver);

/** `fzr_driver_free` frees |driver|, not its engine; NULL is fine. Closes no ports. */
FZR_API void fzr_driver_free(fzr_driver *driver);

/**
 * `fzr_driver_rx` puts the |n| datagrams (or runs) |in| of one |side| through the engine and has
 * the adapters do all that follows. `data` and `len` of |in| may be changed. Must not be called
 * from inside an adapter's function.
 */
FZR_API void fzr_driver_rx(fzr_driver *driver, enum fzr_side side, fzr_pkt *in, size_t n, fzr_time now);

/**
 * `fzr_driver_deadline` returns when fzr_driver_on_deadline wants to be called, or FZR_TIME_NEVER.
 * O(1).
 */
FZR_API fzr_time fzr_driver_deadline(const fzr_driver *driver);

/**
 * `fzr_driver_on_deadline` expires what is due at |now|, some 256 items at most; if more are due,
 * fzr_driver_deadline is still in the past afterwards.
 */
FZR_API void fzr_driver_on_deadline(fzr_driver *driver, fzr_time now);

/**
 * `fzr_driver_port_result` is fzr_engine_port_result for an open that was FZR_ERR_IO_PENDING; same
 * errors.
 */
FZR_API int fzr_driver_port_result(fzr_driver *driver, uint16_t port, enum fzr_family family, int error,
                                   void *cookie, fzr_time now);

#ifdef __cplusplus
}
#endif

#endif
