/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file udp.h
 * The Linux UDP adapter: sockets, batches, GRO and GSO, back-pressure. It belongs to no event loop:
 * two callbacks tell the host which descriptors to watch, and the host calls back when they are
 * ready. A host without a loop leaves the callbacks out and calls fzr_udp_poll. Optional part of
 * the library (meson option udp_adapter); the only one that makes system calls. One adapter serves
 * one engine on one thread. Adapters for other transports may stand beside it, on a driver that
 * they share.
 */
#ifndef FIREZONE_RELAY_UDP_H
#define FIREZONE_RELAY_UDP_H

#include "driver.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fzr_udp fzr_udp;

/** Bits of what to wait for, and of what happened. */
#define FZR_WATCH_READ  0x1u
#define FZR_WATCH_WRITE 0x2u

typedef struct fzr_udp_config {
  /** sizeof(fzr_udp_config) */
  size_t size;
  /** NULL: malloc and free. */
  const fzr_mem *mem;

  /**
   * Where IPv4 sockets are bound, port ignored; family NONE: no IPv4. 0.0.0.0 means: listen on all
   * addresses, and relay from the engine's public address wherever the host has that one, so that
   * peers see what was announced; where it does not (a NAT is between), from whichever address the
   * routes choose. Where neither this nor bind_ip6 has a family, they are 0.0.0.0 and ::.
   */
  fzr_addr bind_ip4;
  /** The same of IPv6; sockets are IPV6_V6ONLY. */
  fzr_addr bind_ip6;
  /** 0: any free one, the same for both families; see fzr_udp_listen_port. */
  uint16_t listen_port;
  /** The shards of one relay share the port: others may join as a group. */
  bool reuse_port;
  /**
   * Join the listen port of this one, which has reuse_port; NULL: the port must be free, whoever
   * holds it.
   */
  const fzr_udp *group;
  /** For tests: as if the kernel had neither GSO nor GRO. */
  bool disable_gso;
  /** SO_RCVBUF of listen sockets in bytes; 0: 4 MiB, as far as the kernel grants it. */
  uint32_t receive_buffer;
  /** SO_SNDBUF of all sockets; 0: 1 MiB for listen sockets, the kernel's default for ports. */
  uint32_t send_buffer;
  /** Bound of one socket's queue of unsent datagrams; 0: 1 MiB. */
  uint32_t queue_bytes;
  /**
   * Datagrams read from one socket in one turn, those of runs counted singly; 0: 256. The batch
   * that reaches it is finished.
   */
  uint32_t budget;

  /**
   * Watch |fd| for |events| (FZR_WATCH_…; 0: none for now, but it stays known); replaces what was
   * asked before. Level triggered. *|slot| is the host's own, NULL at first and kept for this
   * descriptor. |token| goes into fzr_udp_on_ready. Returns 0, or a negative FZR_ERR_…: on it a
   * socket that was not watched yet is closed again; for one that was, what it was watched for
   * still holds, and the same is asked again after some milliseconds. NULL, and `unwatch` as well:
   * the adapter watches its descriptors itself, see fzr_udp_poll.
   */
  int (*watch)(void *ctx, int fd, unsigned events, void *token, void **slot);
  /** Forget |fd|; it is closed right after. */
  void (*unwatch)(void *ctx, int fd, void *slot);
  void *watch_ctx;

  /**
   * Relay from whichever address the routes choose, even where the host has the public one; for
   * bind_ip4 0.0.0.0 and bind_ip6 ::.
   */
  bool any_ip4;
  bool any_ip6;
  /**
   * Do not ask the host for its addresses. By default the adapter tells the engine all of them, and
   * again when one comes or goes, so that no client reaches the host's own services through the
   * relay; where it can't, fzr_udp_attach fails. Who sets this has to call
   * fzr_engine_set_own_addrs.
   */
  bool ignore_host_addrs;
} fzr_udp_config;

/** `fzr_udp_config_init` returns a config of defaults. */
static inline fzr_udp_config fzr_udp_config_init(void)
{
  fzr_udp_config config;
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  return config;
}

/** Counters since the start, and gauges of now. */
typedef struct fzr_udp_stats {
  /** Written by the library: bytes of this struct that it filled. */
  size_t size;
  /** Open now. */
  uint64_t sockets;
  /** Waiting to be sent now. */
  uint64_t queued_packets;
  /** Of those. */
  uint64_t queued_bytes;
  /** Datagrams that a full queue refused. */
  uint64_t queue_dropped;
  /** Datagrams that the system refused. */
  uint64_t send_errors;
  /** Errors read from sockets (ICMP and the like) */
  uint64_t receive_errors;
  /** Recvmmsg. */
  uint64_t receive_calls;
  /** Sendmmsg. */
  uint64_t send_calls;
  /** Datagrams, segments of runs counted singly. */
  uint64_t received;
  /** Likewise. */
  uint64_t sent;
  /** What the kernel granted to listen sockets, bytes. */
  uint32_t receive_buffer;
  uint32_t send_buffer;
  /** In use. */
  bool gro;
  bool gso;
  /** The system tells when an address of the host comes or goes. */
  bool follows_addrs;
  /** Relayed data leaves from the public IPv4 address, which is the host's own. */
  bool own_ip4;
  bool own_ip6;
  /** Relayed IPv4 addresses can be had: the host has IPv4, see fzr_engine_set_offered. */
  bool offered_ip4;
  bool offered_ip6;
  uint8_t reserved[1];
  /** Runs that a path or device refused, and which then went one by one. */
  uint64_t gso_refused;
  /** Datagrams that waited too long for a socket that took nothing. */
  uint64_t send_expired;
  /** Datagrams for hosts on a link of this one that answer no ARP or neighbour discovery. */
  uint64_t unreached_dropped;
  /** Answers to strangers that would have had to wait, and are not among the few that may. */
  uint64_t answers_dropped;
  /**
   * Bytes that the kernel lets wait for one such host, at the expense of everybody who is sent to
   * by the same socket; the most of all interfaces; 0: not known, or bound to loopback.
   */
  uint32_t neighbour_queue;
  uint32_t reserved2;
} fzr_udp_stats;

/**
 * `fzr_udp_new` opens the listen sockets and makes an adapter. |config| is copied. On success
 * *|out| is the caller's. If the kernel does not have one of two families, the adapter does without
 * it.
 *
 * Returns 0, FZR_ERR_INVALID_ARGUMENT, FZR_ERR_UNSUPPORTED, FZR_ERR_CONFIG_ADDRESS (a bind address
 * of the other family),
 * FZR_ERR_NO_MEMORY, FZR_ERR_IO_IN_USE (the port belongs to another process, also to another relay
 * of the same user),
 * FZR_ERR_IO_NO_SOCKET or FZR_ERR_IO; of the last ones *|sys_errno|, if not NULL, gets errno.
 */
FZR_API int fzr_udp_new(const fzr_udp_config *config, fzr_udp **out, int *sys_errno);

/**
 * `fzr_udp_attach_to` begins relaying: |udp| becomes the adapter for UDP of |driver|. It tells the
 * driver's engine the listen port and the host's addresses, and watches the listen sockets and, by
 * rtnetlink, these addresses. The driver stays the caller's and must outlive the adapter. It may
 * have further adapters, for other transports. fzr_udp_deadline and fzr_udp_on_deadline do what
 * fzr_driver_deadline and fzr_driver_on_deadline do, so the host of all adapters need not call
 * those.
 *
 * Returns 0, or:
 * FZR_ERR_INVALID_ARGUMENT: a pointer is NULL.
 * FZR_ERR_INVALID_STATE: the adapter is attached already, or the driver has one for UDP.
 * FZR_ERR_NO_MEMORY.
 * FZR_ERR_IO: the host's addresses can't be listed; errno says why. What `watch` returned. After
 * one of the last three only fzr_udp_free is allowed.
 */
FZR_API int fzr_udp_attach_to(fzr_udp *udp, fzr_driver *driver);

/**
 * `fzr_udp_attach` is the same with a driver of the adapter's own, for |engine|, which stays the
 * caller's and must outlive the adapter. Same errors.
 */
FZR_API int fzr_udp_attach(fzr_udp *udp, fzr_engine *engine);

/**
 * `fzr_udp_ops` returns the functions that fzr_udp_attach_to adds to a driver, with the adapter as
 * their `io`. They are for who puts functions of his own in front of them, by fzr_driver_remove and
 * fzr_driver_add after attaching; if these have an `io` of their own, fzr_driver_remove has to take
 * them off again before fzr_udp_free. Static memory.
 */
FZR_API const fzr_io_ops *fzr_udp_ops(void);

/**
 * `fzr_udp_free` unwatches and closes all sockets, leaves its driver, unless another adapter has
 * taken its place there, and frees |udp|; NULL is fine. Allocations that live have no sockets any
 * more: free the engine as well, or wait until they have ended.
 */
FZR_API void fzr_udp_free(fzr_udp *udp);

/** `fzr_udp_listen_port` returns the port of the listen sockets. */
FZR_API uint16_t fzr_udp_listen_port(const fzr_udp *udp);

/**
 * `fzr_udp_on_ready` does what is to do on the descriptor of |token|: reads up to the budget,
 * relays, flushes. |events| says what it is ready for. The token, and others, may be gone when it
 * returns.
 */
FZR_API void fzr_udp_on_ready(fzr_udp *udp, void *token, unsigned events, fzr_time now);

/** A descriptor that is ready: its token, and what it is ready for. */
typedef struct fzr_udp_ready {
  void *token;
  /** FZR_WATCH_…. */
  unsigned events;
  unsigned reserved;
} fzr_udp_ready;

/**
 * `fzr_udp_on_ready_batch` is fzr_udp_on_ready for the |n| descriptors of |ready|, which one turn
 * of the host's loop found ready; what comes on many of them and leaves by one socket leaves in one
 * system call. |ready| stays the caller's. A token that an earlier one of the same batch has closed
 * is harmless. All has been sent or queued when it returns.
 */
FZR_API void fzr_udp_on_ready_batch(fzr_udp *udp, const fzr_udp_ready *ready, size_t n, fzr_time now);

/**
 * `fzr_udp_deadline` returns when fzr_udp_on_deadline wants to be called, or FZR_TIME_NEVER. O(1).
 */
FZR_API fzr_time fzr_udp_deadline(const fzr_udp *udp);

/** `fzr_udp_on_deadline` does the timers' work that is due at |now|. */
FZR_API void fzr_udp_on_deadline(fzr_udp *udp, fzr_time now);

/**
 * `fzr_udp_poll` waits for something to do and does it: one turn of a loop. It is for an adapter
 * without `watch` and `unwatch`. It waits |timeout| nanoseconds at most, rounded up to whole
 * milliseconds; 0 does not wait, FZR_TIME_NEVER is no bound. The engine has to be on the clock of
 * fzr_udp_now. It is told the Unix time by attaching, and here every minute.
 *
 * Returns 0, also when a signal came or nothing did, or:
 * FZR_ERR_INVALID_ARGUMENT: |udp| is NULL.
 * FZR_ERR_INVALID_STATE: the host watches by itself, or the adapter is not attached.
 * FZR_ERR_IO: the system failed, errno says how; end the loop.
 */
FZR_API int fzr_udp_poll(fzr_udp *udp, fzr_time timeout);

/**
 * `fzr_udp_poll_fd` returns a descriptor that is readable when fzr_udp_poll has something to do,
 * before it is due by fzr_udp_deadline: to wait for it together with others. It stays the
 * adapter's. -1: the host watches by itself, or |udp| is NULL.
 */
FZR_API int fzr_udp_poll_fd(const fzr_udp *udp);

/** `fzr_udp_now` returns the time of the system's monotonic clock (CLOCK_MONOTONIC). */
FZR_API fzr_time fzr_udp_now(void);

/**
 * `fzr_udp_random` is a fzr_random_fn for fzr_config: bytes of the system's generator (getrandom).
 * |ctx| is ignored. Early in the system's life it waits until the generator is seeded. Returns 0,
 * or -1 where the system has none.
 */
FZR_API int fzr_udp_random(void *ctx, uint8_t *out, size_t len);

/**
 * `fzr_udp_port_addr` writes to |out| which local address and port the socket of an allocation is
 * bound to, 0.0.0.0 or :: where it has all; |io| is its cookie, as in events. Returns 0 or
 * FZR_ERR_INVALID_ARGUMENT.
 */
FZR_API int fzr_udp_port_addr(const fzr_udp *udp, const void *io, fzr_addr *out);

/**
 * `fzr_udp_get_stats_sized` fills the |size| bytes at |stats|, whatever is in them: as
 * fzr_engine_stats_sized does. Returns 0 or
 * FZR_ERR_INVALID_ARGUMENT (NULL, or |size| too small for the member `size`).
 */
FZR_API int fzr_udp_get_stats_sized(const fzr_udp *udp, fzr_udp_stats *stats, size_t size);

/**
 * `fzr_udp_get_stats` fills |stats|, whatever is in it. Returns 0 or FZR_ERR_INVALID_ARGUMENT
 * (NULL).
 */
static inline int fzr_udp_get_stats(const fzr_udp *udp, fzr_udp_stats *stats)
{
  return fzr_udp_get_stats_sized(udp, stats, sizeof *stats);
}

/**
 * `fzr_udp_set_channel_hook` has |hook| called with each CHANNEL_BOUND and CHANNEL_UNBOUND event,
 * for an offload; NULL ends it. |hook| must not call into the adapter, but for fzr_udp_port_addr.
 */
FZR_API void fzr_udp_set_channel_hook(fzr_udp *udp, void (*hook)(void *ctx, const fzr_event *event),
                                      void *ctx);

#ifdef __cplusplus
}
#endif

#endif
