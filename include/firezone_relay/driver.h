/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file driver.h
 * The IO-adapter vtable, and the pump between it and an engine. An adapter reads datagrams in whatever way it likes,
 * hands them to the driver in batches, and does what the vtable's functions ask. udp.h is one adapter.
 */
#ifndef FIREZONE_RELAY_DRIVER_H
#define FIREZONE_RELAY_DRIVER_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fzr_driver fzr_driver;

/** What an adapter does for the driver. Functions must not call into the driver, but for where it is said. */
typedef struct fzr_io_ops {
  size_t size; /**< sizeof(fzr_io_ops) */

  /**
   * Opens the socket of |family| and |port| and stores a cookie in *|cookie|. Returns 0, FZR_ERR_IO_IN_USE (another port
   * is tried), FZR_ERR_IO_PENDING (call fzr_driver_port_result later), or another FZR_ERR_IO_…. Required.
   */
  int (*open_port)(void *io, uint16_t port, enum fzr_family family, void **cookie);

  /** Closes it. Datagrams of it that are still queued may be sent or dropped. Required. */
  void (*close_port)(void *io, uint16_t port, enum fzr_family family, void *cookie);

  /**
   * Carries out the FZR_ACT_FORWARD verdicts among |n| verdicts, in order. The bytes they point to stay valid until
   * the fzr_driver_rx call returns; what can't be sent until then must be copied. Required.
   */
  void (*forward)(void *io, const fzr_verdict *verdicts, size_t n);

  /** Sends |n| answers; the same holds for their bytes. Required. */
  void (*transmit)(void *io, const fzr_transmit *answers, size_t n);

  /** Hears of channels: |event| is CHANNEL_BOUND or CHANNEL_UNBOUND. NULL: does not care. */
  void (*channel)(void *io, const fzr_event *event);
} fzr_io_ops;

/**
 * `fzr_driver_new` makes a driver between |engine| and the adapter |ops|, whose functions get |io|. |ops| is copied;
 * engine and io stay the caller's and must outlive the driver. |mem| as in fzr_config.
 *
 * Returns 0, FZR_ERR_INVALID_ARGUMENT, FZR_ERR_UNSUPPORTED or FZR_ERR_NO_MEMORY.
 */
FZR_API int fzr_driver_new(fzr_engine *engine, const fzr_io_ops *ops, void *io, const fzr_mem *mem,
                           fzr_driver **out);

/** `fzr_driver_free` frees |driver|, not its engine; NULL is fine. Closes no ports. */
FZR_API void fzr_driver_free(fzr_driver *driver);

/**
 * `fzr_driver_rx` puts the |n| datagrams (or runs) |in| of one |side| through the engine and has the adapter do all that
 * follows. `data` and `len` of |in| may be changed. Must not be called from inside an adapter's function.
 */
FZR_API void fzr_driver_rx(fzr_driver *driver, enum fzr_side side, fzr_pkt *in, size_t n, fzr_time now);

/** `fzr_driver_deadline` returns when fzr_driver_on_deadline wants to be called, or FZR_TIME_NEVER. O(1). */
FZR_API fzr_time fzr_driver_deadline(const fzr_driver *driver);

/**
 * `fzr_driver_on_deadline` expires what is due at |now|, some 256 items at most; if more are due,
 * fzr_driver_deadline is still in the past afterwards.
 */
FZR_API void fzr_driver_on_deadline(fzr_driver *driver, fzr_time now);

/** `fzr_driver_port_result` is fzr_engine_port_result for an open that was FZR_ERR_IO_PENDING; same errors. */
FZR_API int fzr_driver_port_result(fzr_driver *driver, uint16_t port, enum fzr_family family, int error,
                                   void *cookie, fzr_time now);

#ifdef __cplusplus
}
#endif

#endif
