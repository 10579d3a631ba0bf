/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file firezone_relay.h
 * libfzrelay: an embeddable, sans-IO STUN/TURN relay (RFC 8489 and RFC 8656). This header brings in
 * all others but two. udp.h is an optional part of the library, and socket.h wants POSIX headers.
 *
 * Conventions, for every function of the library:
 *
 * - Pointers. NULL is allowed only where it is said, or for a `_free`. Input strings and arrays are
 *   copied, or used during the call only, unless it is said that they are kept. Outputs are written
 *   on success only, unless it is said otherwise.
 * - Ownership. `_new` gives an object that its `_free` takes back. Contexts of callbacks stay the
 *   caller's.
 * - Threads. An object may be used by one thread at a time. Different objects need no lock between
 *   them. fzr_shared is the only one that several threads may use at once. There is no global
 *   state.
 * - Time. Each call that depends on it is given the time: monotonic nanoseconds, see fzr_time. The
 *   library reads no clock, but for fzr_udp_poll. Unix time comes in through
 *   fzr_engine_set_wallclock, and matters for credentials only.
 * - Success. An int is 0, a count or a length on success, else a negative enum fzr_error;
 *   fzr_strerror has its text. A bool tells whether there was something to get.
 * - Strangers. What they send is no error. Functions that read it return an enum fzr_drop_reason:
 *   FZR_DROP_NONE if it is good. No errno, no abort, whatever comes in.
 * - Sizes, read. Structs that begin with `size` may grow. Where the library reads one, set `size`
 *   to the sizeof that you were compiled with; their `_init` does. One that is shorter than the
 *   library's means defaults for the rest. A longer one is taken if its tail is zero.
 * - Sizes, written. Where the library writes one (statistics), its size is an argument, which an
 *   inline function passes for you. `size` is an output then, and nothing need be initialised.
 * - Numbers are in host order, the bytes of addresses in network order.
 */
#ifndef FIREZONE_RELAY_H
#define FIREZONE_RELAY_H

#include "auth.h"
#include "driver.h"
#include "engine.h"
#include "error.h"
#include "journal.h"
#include "offload.h"
#include "save.h"
#include "stream.h"
#include "stun.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of these headers, as three numbers. They are what the caller was compiled with;
 * fzr_version tells what it runs with.
 */
#define FZR_VERSION_MAJOR 0
#define FZR_VERSION_MINOR 2
#define FZR_VERSION_PATCH 0

/**
 * `fzr_version` returns the version of the library that runs, as text: "0.2.0", say. It is
 * constant, and never NULL. Any thread.
 */
FZR_API const char *fzr_version(void);

#ifdef __cplusplus
}
#endif

#endif
