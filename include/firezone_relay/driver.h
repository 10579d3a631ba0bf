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
 * An engine has one driver at a time: it takes all events and answers. udp.h is one adapter, for
 * UDP.
 */
#ifndef FIREZONE_RELAY_DRIVER_H
#define FIREZONE_RELAY_DRIVER_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The pump between one engine and its adapters. It is opaque, and for the thread of its engine. It
 * takes memory in fzr_driver_new alone.
 */
typedef struct fzr_driver fzr_driver;

/**
 * What an adapter does for the driver. Each function gets the adapter's own `io` first, and must
 * not call into the driver. An adapter for UDP needs all functions but `channel`; the others need
 * `forward` and `transmit`, and nobody calls the rest of theirs.
 */
typedef struct fzr_io_ops {
  /** sizeof(fzr_io_ops); fzr_io_ops_init sets it. */
  size_t size;

  /**
   * Opens the socket of a relayed address, for |family| and |port|, and stores a cookie in
   * *|cookie|. The cookie is the adapter's own; any value will do. It comes back in `close_port`,
   * in verdicts and in events.
   *
   * Returns 0, or:
   * - FZR_ERR_IO_IN_USE: another program has the port. The engine tries another one, up to 64.
   * - FZR_ERR_IO_PENDING: it takes a while. Call fzr_driver_port_result later.
   * - another FZR_ERR_IO_…: the client gets 508 (Insufficient Capacity).
   */
  int (*open_port)(void *io, uint16_t port, enum fzr_family family, void **cookie);

  /**
   * Closes the socket that |cookie| stands for. The allocation has ended. Datagrams of it that are
   * still queued may be sent or dropped.
   */
  void (*close_port)(void *io, uint16_t port, enum fzr_family family, void *cookie);

  /**
   * Carries out the FZR_ACT_FORWARD verdicts among |n| verdicts, in order, and passes the others
   * over. Their headers stay valid until it returns, their payloads until the fzr_driver_rx call
   * returns. What cannot be sent until then is for the adapter to copy or drop. |now| is that of
   * the call from which they follow, for an adapter that lets them wait. Required.
   */
  void (*forward)(void *io, const fzr_verdict *verdicts, size_t n, fzr_time now);

  /**
   * Sends |n| answers, in order. Their bytes stay valid until it returns. |now| is as above.
   * Required.
   */
  void (*transmit)(void *io, const fzr_transmit *answers, size_t n, fzr_time now);

  /**
   * Hears of channels: |event| is FZR_EVENT_CHANNEL_BOUND or FZR_EVENT_CHANNEL_UNBOUND, and valid
   * until it returns. Only the adapter for UDP does, whatever the client's transport is, for `io`
   * of the event is its cookie. NULL: it does not care.
   */
  void (*channel)(void *io, const fzr_event *event);
} fzr_io_ops;

/** `fzr_io_ops_init` returns a vtable with `size` set and no functions: they are for the caller. */
static inline fzr_io_ops fzr_io_ops_init(void)
{
  fzr_io_ops ops;
  memset(&ops, 0, sizeof ops);
  ops.size = sizeof ops;
  return ops;
}

/**
 * `fzr_driver_new` makes a driver of |engine|, without adapters. The engine stays the caller's and
 * must outlive the driver. |mem| is copied; NULL means malloc and free. On success *|out| is the
 * caller's: fzr_driver_free takes it back.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| or |out| is NULL, or |mem| lacks a function or is too short.
 *   Mend the call.
 * - FZR_ERR_UNSUPPORTED: |mem| is of a later release and sets what this one does not know.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_driver_new(fzr_engine *engine, const fzr_mem *mem, fzr_driver **out);

/**
 * `fzr_driver_add` makes |ops|, whose functions get |io|, the adapter for clients of |transport|.
 * |ops| is copied. |io| stays the caller's; it must live until fzr_driver_remove, or outlive the
 * driver.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |driver| or |ops| is NULL, |transport| is none, `size` is too small,
 *   or a function is missing. Mend the call.
 * - FZR_ERR_UNSUPPORTED: |ops| has functions that this library does not know.
 * - FZR_ERR_INVALID_STATE: there is one for |transport|: remove it first. Or |transport| is UDP and
 *   the engine has allocations, whose cookies are another adapter's: wait until they have ended, or
 *   end them (fzr_engine_end_allocation).
 */
FZR_API int fzr_driver_add(fzr_driver *driver, enum fzr_transport transport, const fzr_io_ops *ops,
                           void *io);

/**
 * `fzr_driver_remove` forgets the adapter for |transport|, if there is one and it was added with
 * this |io|. If another one has taken its place, that one stays. NULL for |driver| is fine.
 *
 * What is for its clients is dropped from then on. Without an adapter for UDP new Allocates get
 * 508, and no port is closed. Another one for UDP can't be added before all allocations have ended,
 * for it would get the cookies of the first.
 */
FZR_API void fzr_driver_remove(fzr_driver *driver, enum fzr_transport transport, const void *io);

/** `fzr_driver_engine` returns the engine of |driver|, which stays its caller's; NULL of NULL. */
FZR_API fzr_engine *fzr_driver_engine(const fzr_driver *driver);

/**
 * `fzr_driver_free` frees |driver|, not its engine; NULL is fine. It calls no adapter and closes no
 * ports.
 */
FZR_API void fzr_driver_free(fzr_driver *driver);

/**
 * `fzr_driver_rx` puts the |n| datagrams (or runs) |in| of one |side| through the engine. It has
 * the adapters do all that follows: forward, open and close ports, and send answers, in that order.
 * The packets and their bytes stay the caller's; `data` and `len` of |in| may be changed. It must
 * not be called from inside an adapter's function.
 *
 * Returns when all packets are done. Nothing that they hold makes it fail. It does nothing where a
 * pointer is NULL or |side| is none.
 */
FZR_API void fzr_driver_rx(fzr_driver *driver, enum fzr_side side, fzr_pkt *in, size_t n,
                           fzr_time now);

/**
 * `fzr_driver_peer_errors` is fzr_engine_peer_error for the |n| errors at |errors|, which stay the
 * caller's, and has the adapters send what follows. It must not be called from inside an adapter's
 * function. It does nothing where a pointer is NULL.
 */
FZR_API void fzr_driver_peer_errors(fzr_driver *driver, const fzr_peer_error *errors, size_t n,
                                    fzr_time now);

/**
 * `fzr_driver_deadline` returns when fzr_driver_on_deadline wants to be called, or FZR_TIME_NEVER,
 * also of NULL. It changes with each call that gives input, so ask again after it. O(1).
 */
FZR_API fzr_time fzr_driver_deadline(const fzr_driver *driver);

/**
 * `fzr_driver_on_deadline` expires what is due at |now|, some 256 items at most, and has the
 * adapters do what follows. If more are due, fzr_driver_deadline is still in the past afterwards:
 * read packets in between, and call it again. NULL is fine.
 */
FZR_API void fzr_driver_on_deadline(fzr_driver *driver, fzr_time now);

/**
 * `fzr_driver_port_result` is fzr_engine_port_result for an `open_port` that has returned
 * FZR_ERR_IO_PENDING, and has the adapters do what follows. Each such open needs one.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: |driver| is NULL, |family| is none, or |error| is positive. Mend the
 *   call.
 * - FZR_ERR_INVALID_STATE: no such open is pending any more. Close the socket, if one was opened.
 */
FZR_API int fzr_driver_port_result(fzr_driver *driver, uint16_t port, enum fzr_family family,
                                   int error, void *cookie, fzr_time now);

#ifdef __cplusplus
}
#endif

#endif
