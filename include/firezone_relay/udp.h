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

/** The adapter: the sockets of one engine. It is opaque, and for the thread of its engine. */
typedef struct fzr_udp fzr_udp;

/**
 * A bit of what to wait for, and of what happened: there is something to read, or an error. poll
 * and epoll tell of errors (POLLERR, EPOLLERR) whether they were asked for or not. They are to be
 * handed on as this bit, or they will be told of again and again.
 */
#define FZR_WATCH_READ 0x1u
/** Likewise: there is room to write. */
#define FZR_WATCH_WRITE 0x2u

/**
 * How to make an adapter. Start from zero with `size` set (fzr_udp_config_init); 0, false and NULL
 * mean the default. It is copied, and so are the hooks of `mem`; `group` and `watch_ctx` stay the
 * caller's.
 */
typedef struct fzr_udp_config {
  /** sizeof(fzr_udp_config); fzr_udp_config_init sets it. */
  size_t size;
  /** Where memory comes from; NULL: malloc and free. */
  const fzr_mem *mem;

  /**
   * Where IPv4 sockets are bound, port ignored; family NONE: no IPv4. 0.0.0.0 means: listen on all
   * addresses. Where the host has the engine's public address, data are relayed from that one, so
   * that peers see what was announced. Where it does not (a NAT is between), the routes choose the
   * address. Where neither this nor bind_ip6 has a family, they are 0.0.0.0 and ::.
   */
  fzr_addr bind_ip4;
  /** The same of IPv6, with :: for 0.0.0.0. Sockets are IPV6_V6ONLY. */
  fzr_addr bind_ip6;
  /**
   * The port that clients send to. 0: any free one, the same for both families; fzr_udp_listen_port
   * tells which.
   */
  uint16_t listen_port;
  /**
   * The shards of one relay share the port (SO_REUSEPORT): further adapters may join as a group.
   * Default: they may not.
   */
  bool reuse_port;
  /**
   * Join the listen port of this adapter, which has reuse_port. It is looked at in fzr_udp_new
   * alone. NULL: the port must be free, whoever holds it.
   */
  const fzr_udp *group;
  /**
   * For tests: as if the kernel had neither GSO nor GRO. Default: both are used where the kernel
   * has them.
   */
  bool disable_gso;
  /** SO_RCVBUF of listen sockets in bytes; 0: 4 MiB, as far as the kernel grants it. */
  uint32_t receive_buffer;
  /** SO_SNDBUF of all sockets; 0: 1 MiB for listen sockets, the kernel's default for ports. */
  uint32_t send_buffer;
  /**
   * Bytes of unsent datagrams that may wait for one socket; 0: 1 MiB. What comes beyond is dropped
   * and counted in queue_dropped.
   */
  uint32_t queue_bytes;
  /**
   * Datagrams read from one socket in one turn, those of runs counted singly; 0: 256. The batch
   * that reaches it is finished.
   */
  uint32_t budget;

  /**
   * Watches |fd| for |events|, level triggered. They are bits FZR_WATCH_…; 0: none for now, but the
   * descriptor stays known. That replaces what was asked before. |token| is what to pass to
   * fzr_udp_on_ready. *|slot| is the host's own: NULL at first, and kept for this descriptor.
   *
   * NULL, and `unwatch` as well: the adapter watches its descriptors itself, see fzr_udp_poll.
   *
   * Returns 0, or a negative FZR_ERR_…. A socket that was not watched yet is closed again on it.
   * For one that was, what it was watched for still holds, and the same is asked again after some
   * milliseconds.
   */
  int (*watch)(void *ctx, int fd, unsigned events, void *token, void **slot);
  /** Forgets |fd|, which is closed right after. |slot| is what `watch` has left there. */
  void (*unwatch)(void *ctx, int fd, void *slot);
  /** What `watch` and `unwatch` are called with as |ctx|. The caller's. */
  void *watch_ctx;

  /**
   * Relay IPv4 from whichever address the routes choose, even where the host has the public one.
   * Matters for bind_ip4 0.0.0.0 alone. Default: from the public one.
   */
  bool any_ip4;
  /** The same for IPv6 and bind_ip6 ::. */
  bool any_ip6;
  /**
   * Do not ask the host for its addresses. By default the adapter tells the engine all of them, and
   * again when one comes or goes. So no client reaches the host's own services through the relay.
   * Where it can't, fzr_udp_attach fails. Who sets this has to call fzr_engine_set_own_addrs.
   */
  bool ignore_host_addrs;

  /**
   * One socket of each family hears for all allocations: fzr_udp_common_socket. The host leads
   * there what comes for |at|, an allocation's address and port (unspecified: at all addresses of
   * the host), or no longer where |begins| is false. A BPF program of type sk_lookup can do that.
   * Allocations have sockets of their own only to send by, for as long as they do: who does not
   * send for 5 to 10 s has none until he does again. So the host sees to it that no other program
   * takes their ports (net.ipv4.ip_local_reserved_ports). Clients are told of no ICMP errors, and
   * the adapter can be neither paused nor adopted.
   *
   * Returns 0, or a negative FZR_ERR_…, upon which there is no such allocation. What it returns
   * where |begins| is false is not looked at. NULL: each allocation has its own socket.
   */
  int (*direct)(void *ctx, const fzr_addr *at, bool begins);
  /** What `direct` is called with as |ctx|. The caller's. */
  void *direct_ctx;
  /**
   * With `direct`: two numbers, of the common socket of IPv4 and that of IPv6. Each goes up when
   * its socket is about to be read, and again when it was, so that the host can tell how much has
   * come for an allocation since. The caller's; NULL: nobody asks.
   */
  uint32_t *direct_turn;
} fzr_udp_config;

/** `fzr_udp_config_init` returns a config of defaults, with `size` set. */
static inline fzr_udp_config fzr_udp_config_init(void)
{
  fzr_udp_config config;
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  return config;
}

/** Counters since the adapter was made, and gauges of now. The library writes them. */
typedef struct fzr_udp_stats {
  /** An output: how many bytes of this struct were filled. */
  size_t size;
  /** Sockets that are open now: those that clients send to, and those of allocations. */
  uint64_t sockets;
  /** Datagrams that wait to be sent now. */
  uint64_t queued_packets;
  /** Bytes of those. */
  uint64_t queued_bytes;
  /** Datagrams that a full queue refused. */
  uint64_t queue_dropped;
  /** Datagrams that the system refused. */
  uint64_t send_errors;
  /** Errors read from sockets (ICMP and the like) */
  uint64_t receive_errors;
  /** Calls of recvmmsg. */
  uint64_t receive_calls;
  /** System calls that sent. */
  uint64_t send_calls;
  /** Datagrams that were read; segments of runs are counted singly. */
  uint64_t received;
  /** Datagrams that were sent, likewise. */
  uint64_t sent;
  /** SO_RCVBUF of listen sockets as the kernel granted it, bytes. */
  uint32_t receive_buffer;
  /** SO_SNDBUF of listen sockets, likewise. */
  uint32_t send_buffer;
  /** Whether GRO is in use: the kernel hands over runs of datagrams. */
  bool gro;
  /** Whether GSO is in use: the kernel takes runs of datagrams. */
  bool gso;
  /** Whether the system tells when an address of the host comes or goes. */
  bool follows_addrs;
  /** Whether relayed data leaves from the public IPv4 address, which is the host's own. */
  bool own_ip4;
  /** The same of IPv6. */
  bool own_ip6;
  /** Whether relayed IPv4 addresses can be had: the host has IPv4. See fzr_engine_set_offered. */
  bool offered_ip4;
  /** The same of IPv6. */
  bool offered_ip6;
  /** The library writes 0. */
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
   * by the same socket. It is the most of all interfaces; 0: not known, or bound to loopback.
   */
  uint32_t neighbour_queue;
  /** The library writes 0. */
  uint32_t reserved2;
} fzr_udp_stats;

/**
 * `fzr_udp_new` opens the listen sockets and makes an adapter. |config| is copied. On success
 * *|out| is the caller's: fzr_udp_free takes it back. If the kernel does not have one of two
 * families, the adapter does without it. Nothing is read before fzr_udp_attach or
 * fzr_udp_attach_to.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, `size` is too small, `mem` lacks a function, or
 *   one of `watch` and `unwatch` is missing. Mend the call.
 * - FZR_ERR_UNSUPPORTED: |config| is of a later release and sets what this one does not know.
 * - FZR_ERR_CONFIG_ADDRESS: a bind address is of the other family. Tell the operator.
 * - FZR_ERR_NO_MEMORY: try again later.
 * - FZR_ERR_IO_IN_USE: the port belongs to another process, also to another relay of the same user.
 *   Tell the operator.
 * - FZR_ERR_IO_NO_SOCKET: no descriptor or buffer space is left. Try again later.
 * - FZR_ERR_IO: the system refused. Tell the operator what *|sys_errno| says.
 *
 * |sys_errno| may be NULL. With one of the last three *|sys_errno| gets errno.
 */
FZR_API int fzr_udp_new(const fzr_udp_config *config, fzr_udp **out, int *sys_errno);

/**
 * `fzr_udp_attach_to` begins relaying: |udp| becomes the adapter for UDP of |driver|. It tells the
 * driver's engine the listen port and the host's addresses, and watches the listen sockets and, by
 * rtnetlink, these addresses. The driver stays the caller's and must outlive the adapter. It may
 * have further adapters, for other transports. fzr_udp_deadline and fzr_udp_on_deadline do what
 * fzr_driver_deadline and fzr_driver_on_deadline do. So the host of all adapters need not call
 * those.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: the adapter is attached already, the driver has one for UDP, or the
 *   engine has allocations of an earlier one. See fzr_driver_add.
 * - FZR_ERR_NO_MEMORY: call fzr_udp_free, and try again later.
 * - FZR_ERR_IO: the host's addresses cannot be listed, and errno says why. Call fzr_udp_free.
 * - what `watch` returned, another FZR_ERR_…: call fzr_udp_free.
 */
FZR_API int fzr_udp_attach_to(fzr_udp *udp, fzr_driver *driver);

/**
 * `fzr_udp_attach` begins relaying with a driver of the adapter's own, for |engine|. The engine
 * stays the caller's and must outlive the adapter. All else is as with fzr_udp_attach_to.
 *
 * Returns 0, or what fzr_udp_attach_to returns, for the same reasons.
 */
FZR_API int fzr_udp_attach(fzr_udp *udp, fzr_engine *engine);

/**
 * `fzr_udp_ops` returns the functions that fzr_udp_attach_to adds to a driver, with the adapter as
 * their `io`. It is constant. Any thread.
 *
 * They are for who puts functions of his own in front of them: by fzr_driver_remove and
 * fzr_driver_add, right after attaching, while there are no allocations. If these have an `io` of
 * their own, take them off again by fzr_driver_remove before fzr_udp_free.
 */
FZR_API const fzr_io_ops *fzr_udp_ops(void);

/**
 * `fzr_udp_free` unwatches and closes all sockets and frees |udp|; NULL is fine. It leaves its
 * driver, unless another adapter has taken its place there.
 *
 * Allocations that live have no sockets any more. Free the engine as well, or wait until they have
 * ended. `direct` is not told that they end: the host leads nothing to the adapter from then on.
 */
FZR_API void fzr_udp_free(fzr_udp *udp);

/**
 * `fzr_udp_common_socket` returns the descriptor of the socket that hears for all allocations of
 * |family|, which stays the adapter's, or -1: `direct` is NULL, or the adapter has no such family.
 */
FZR_API int fzr_udp_common_socket(const fzr_udp *udp, enum fzr_family family);

/** `fzr_udp_listen_port` returns the port of the listen sockets, or 0 of NULL. */
FZR_API uint16_t fzr_udp_listen_port(const fzr_udp *udp);

/**
 * `fzr_udp_on_ready` does what is to do on the descriptor of |token|: it reads up to the budget,
 * relays, and flushes. |events| are bits FZR_WATCH_… of what it is ready for. The token, and
 * others, may be gone when it returns. It does nothing before the adapter is attached, or of NULL.
 */
FZR_API void fzr_udp_on_ready(fzr_udp *udp, void *token, unsigned events, fzr_time now);

/** A descriptor that is ready: its token, and what it is ready for. */
typedef struct fzr_udp_ready {
  /** What `watch` was given for it. */
  void *token;
  /** Bits FZR_WATCH_…. */
  unsigned events;
  /** Set it to 0. This release does not look at it. */
  unsigned reserved;
} fzr_udp_ready;

/**
 * `fzr_udp_on_ready_batch` is fzr_udp_on_ready for the |n| descriptors of |ready|, which one turn
 * of the host's loop found ready. What comes on many of them and leaves by one socket leaves in one
 * system call. |ready| stays the caller's. A token that an earlier one of the same batch has closed
 * is harmless. All has been sent or queued when it returns. It does nothing if |udp| or |ready| is
 * NULL.
 */
FZR_API void fzr_udp_on_ready_batch(fzr_udp *udp, const fzr_udp_ready *ready, size_t n,
                                    fzr_time now);

/**
 * `fzr_udp_gather_time` tells, right after fzr_udp_on_ready_batch, how long the host does well to
 * sleep before it looks again for what is ready, in ns; 0, which it is mostly, also of NULL: not at
 * all. It is tens of microseconds where datagrams come so fast that the turn has found several
 * which left by the same system call, and not so many that it was full: after that time there are
 * more, and they leave together for the price of few. They are late by no more than that, and the
 * next turn starts from what it finds. A host that sleeps for longer, as with the default
 * PR_SET_TIMERSLACK of 50 microseconds, makes them later. fzr_udp_poll does not sleep. O(1).
 */
FZR_API fzr_time fzr_udp_gather_time(const fzr_udp *udp);

/**
 * `fzr_udp_deadline` returns when fzr_udp_on_deadline wants to be called, or FZR_TIME_NEVER, also
 * of NULL. O(1).
 */
FZR_API fzr_time fzr_udp_deadline(const fzr_udp *udp);

/**
 * `fzr_udp_on_deadline` does the timers' work that is due at |now|: that of fzr_driver_on_deadline,
 * and the adapter's own. It may be called early. It does nothing before the adapter is attached, or
 * of NULL.
 */
FZR_API void fzr_udp_on_deadline(fzr_udp *udp, fzr_time now);

/**
 * `fzr_udp_poll` waits for something to do and does it: one turn of a loop. It is for an adapter
 * without `watch` and `unwatch`. |timeout| is a duration, not a moment: it waits that many
 * nanoseconds at most, rounded up to whole milliseconds. 0 does not wait, FZR_TIME_NEVER is no
 * bound. Any other above INT64_MAX counts as 0: a moment that has just passed, less fzr_udp_now(),
 * is one. The engine has to be on the clock of fzr_udp_now. It is told the Unix time by attaching,
 * and here every minute.
 *
 * Returns 0, also when a signal came or nothing did, or:
 * - FZR_ERR_INVALID_ARGUMENT: |udp| is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: the host watches by itself, or the adapter is not attached, or paused.
 *   Mend the call.
 * - FZR_ERR_IO: the system failed, and errno says how. End the loop.
 */
FZR_API int fzr_udp_poll(fzr_udp *udp, fzr_time timeout);

/**
 * `fzr_udp_poll_fd` returns a descriptor to wait for together with others. It is readable when
 * fzr_udp_poll has something to do, before it is due by fzr_udp_deadline. It stays the adapter's.
 *
 * Returns -1 if the host watches by itself, or |udp| is NULL.
 */
FZR_API int fzr_udp_poll_fd(const fzr_udp *udp);

/**
 * `fzr_udp_now` returns the time of the system's monotonic clock (CLOCK_MONOTONIC), in nanoseconds.
 * Any thread.
 */
FZR_API fzr_time fzr_udp_now(void);

/**
 * `fzr_udp_random` is a fzr_random_fn for fzr_config. It fills the |len| bytes at |out|, the
 * caller's, with bytes of the system's generator (getrandom). |ctx| is ignored. Early in the
 * system's life it waits until the generator is seeded. Any thread.
 *
 * Returns 0, or -1 where the system has no such generator.
 */
FZR_API int fzr_udp_random(void *ctx, uint8_t *out, size_t len);

/**
 * `fzr_udp_port_addr` writes to |out| which local address and port the socket of an allocation is
 * bound to: 0.0.0.0 or :: where it has all. |io| is its cookie, as in events. O(1).
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 */
FZR_API int fzr_udp_port_addr(const fzr_udp *udp, const void *io, fzr_addr *out);

/**
 * `fzr_udp_get_stats_sized` fills the |size| bytes at |stats|, whatever is in them. A caller that
 * was compiled with a shorter struct gets no more than that, one with a longer struct zeros for the
 * rest. O(1).
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, or |size| is too small for the member `size`. Mend
 *   the call.
 */
FZR_API int fzr_udp_get_stats_sized(const fzr_udp *udp, fzr_udp_stats *stats, size_t size);

/**
 * `fzr_udp_get_stats` fills |stats|, the caller's, whatever is in it. O(1).
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 */
static inline int fzr_udp_get_stats(const fzr_udp *udp, fzr_udp_stats *stats)
{
  return fzr_udp_get_stats_sized(udp, stats, sizeof *stats);
}

/**
 * `fzr_udp_set_channel_hook` has |hook| called with |ctx| and each FZR_EVENT_CHANNEL_BOUND and
 * FZR_EVENT_CHANNEL_UNBOUND, for an offload. |hook| NULL ends it. The event is valid during the
 * call only. |hook| must not call into the adapter, but for fzr_udp_port_addr. |ctx| stays the
 * caller's. |udp| NULL is fine.
 */
FZR_API void fzr_udp_set_channel_hook(fzr_udp *udp, void (*hook)(void *ctx, const fzr_event *event),
                                      void *ctx);

/**
 * `fzr_udp_pause` has |udp| read and send no more, until fzr_udp_resume. What comes waits in the
 * receive buffers of the sockets, as far as these have room. All that was read before has been
 * relayed when it returns; what full sockets did not take stays queued. Until then
 * fzr_udp_on_ready, fzr_udp_on_ready_batch and fzr_udp_on_deadline do nothing, fzr_udp_deadline
 * is FZR_TIME_NEVER, and the engine hears of nothing. So its state and the sockets fit together.
 * The host should not wait for descriptors meanwhile: they stay ready.
 *
 * A pause is for handing over: the state of the engine, the sockets (fzr_udp_list_sockets), which
 * may be sent to another process, and what waits to be sent (fzr_udp_each_unsent). When the other
 * one has all, call fzr_udp_free, which closes nothing of the other one's. If it fails, call
 * fzr_udp_resume, and nothing has happened.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: |udp| is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: the adapter is not attached, is paused already, or has `direct`. Mend
 *   the call.
 */
FZR_API int fzr_udp_pause(fzr_udp *udp, fzr_time now);

/**
 * `fzr_udp_resume` ends what fzr_udp_pause began: |udp| reads what has come meanwhile. It also
 * begins to read for an adapter of fzr_udp_adopt, after fzr_udp_attach or fzr_udp_attach_to.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: |udp| is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: the adapter is not attached, or not paused. Mend the call.
 */
FZR_API int fzr_udp_resume(fzr_udp *udp, fzr_time now);

/** A socket of an adapter. */
typedef struct fzr_udp_socket {
  /** Its descriptor. */
  int fd;
  /** The port that it is bound to. */
  uint16_t port;
  /** enum fzr_family. */
  uint8_t family;
  /** Clients send to it. Otherwise it is that of an allocation. */
  bool listens;
  /** Its number among all that the adapter has had: one that was opened later has a higher one. */
  uint64_t serial;
} fzr_udp_socket;

/**
 * `fzr_udp_list_sockets` tells of the sockets that another adapter would need: it fills up to
 * |room| of |out| from *|cursor| on, which begins at 0 and is moved on. The descriptors stay the
 * adapter's. Of an adapter that is not paused sockets come and go, so that a descriptor is good
 * until the adapter is next called; what is opened between two calls may be told of or not. A
 * hand-over is shorter if most sockets go over before the pause, and in the pause those alone that
 * have a higher `serial` than all that there were when the first ones were told of.
 *
 * Returns how many it has filled; fewer than |room|: there are no more. 0 if a pointer is NULL.
 */
FZR_API size_t fzr_udp_list_sockets(const fzr_udp *udp, uint32_t *cursor, fzr_udp_socket *out,
                                    size_t room);

/** Datagrams of one flow that wait for a socket which is full. */
typedef struct fzr_udp_unsent {
  /** Where they go. */
  fzr_addr to;
  /** Where they come from, for a socket that is bound to no particular address. */
  fzr_addr from;
  /** The datagrams, one behind the other. */
  const uint8_t *data;
  /** Bytes of all of them. */
  uint32_t len;
  /** Bytes of each but the last, which may have fewer. */
  uint16_t seg;
  /** How many they are. */
  uint16_t count;
  /** The port of the socket that they wait for. */
  uint16_t port;
  /** Clients send to that socket. Otherwise it is that of an allocation. */
  bool listens;
  /** They are answers to somebody who has no allocation. */
  bool to_stranger;
  /** They must not be fragmented. */
  bool dont_fragment;
  /** Set it to 0. This release does not look at it. */
  uint8_t reserved[3];
  /** How long they have waited. */
  fzr_time waited;
} fzr_udp_unsent;

/**
 * `fzr_udp_each_unsent` calls |each| with |ctx| for all that waits to be sent, for each socket in
 * order. What it is told of is valid during the call. |each| must not call into the adapter. It
 * does nothing if |udp| or |each| is NULL.
 */
FZR_API void fzr_udp_each_unsent(const fzr_udp *udp,
                                 void (*each)(void *ctx, const fzr_udp_unsent *unsent), void *ctx);

/**
 * `fzr_udp_adopt` makes an adapter as fzr_udp_new does, with listen sockets that another one has
 * had: |listen| are |n| of them, one or two, of which the descriptors alone count. `listen_port`
 * and `group` of |config| are not looked at. The adapter is paused. Give it the sockets of
 * allocations by fzr_udp_adopt_port, attach it, load the engine, have the driver take the
 * events by fzr_driver_on_deadline, and call fzr_udp_resume. Until then it changes nothing
 * of the sockets, so that the other one may take them back, or still use them: what takes long,
 * adopting and attaching, can be done before the other one pauses.
 *
 * The descriptors are the adapter's if it returns 0, and stay the caller's if not. fzr_udp_free
 * closes them.
 *
 * Returns what fzr_udp_new returns, for the same reasons, or:
 * - FZR_ERR_INVALID_ARGUMENT: |listen| is NULL or empty, one of them is no bound socket of UDP, two
 *   are of one family, their ports differ, or |config| has `direct`. Mend the call.
 * - FZR_ERR_CONFIG_ADDRESS: one is not bound where |config| says. Open sockets by fzr_udp_new.
 */
FZR_API int fzr_udp_adopt(const fzr_udp_config *config, const fzr_udp_socket *listen, size_t n,
                          fzr_udp **out, int *sys_errno);

/**
 * `fzr_udp_adopt_port` gives |udp|, which is of fzr_udp_adopt and not resumed yet, the socket |fd|
 * of an allocation that another adapter has had. `open_port` for its family and port has it from
 * then on, instead of a new one: so an allocation of a loaded engine finds
 * it. A later one of the same family and port takes the place of the one before, which the other
 * adapter has closed meanwhile. Whatever was not asked for is closed by fzr_udp_resume.
 *
 * The descriptor is the adapter's if it returns 0, and stays the caller's if not.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: |udp| is NULL, |fd| is no bound socket of UDP, or an allocation has
 *   one of its family and port already. Mend the call.
 * - FZR_ERR_INVALID_STATE: the adapter is not of fzr_udp_adopt, or resumed already. Mend the call.
 * - FZR_ERR_CONFIG_ADDRESS: the adapter does not have its family. That allocation can't live on.
 * - FZR_ERR_NO_MEMORY: that allocation can't live on.
 * - FZR_ERR_IO: the system refused, and errno says why. That allocation can't live on.
 * - what `watch` returned, another FZR_ERR_…: that allocation can't live on.
 */
FZR_API int fzr_udp_adopt_port(fzr_udp *udp, int fd);

/**
 * `fzr_udp_adopt_unsent` has |unsent|, which waited in another adapter, wait in this one: for the
 * socket of `port`, which fzr_udp_adopt_port has given it, or where it `listens` for the listen
 * socket of the family of `to`. It is copied. Call it before fzr_udp_resume, in the order in which
 * fzr_udp_each_unsent has told of them.
 *
 * Returns 0, or:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, the adapter has no such socket, or lengths and
 *   count contradict each other. Nothing waits.
 * - FZR_ERR_NO_MEMORY: there is no memory, or more than `queue_bytes` would wait. It is dropped,
 *   and counted.
 */
FZR_API int fzr_udp_adopt_unsent(fzr_udp *udp, const fzr_udp_unsent *unsent, fzr_time now);

#ifdef __cplusplus
}
#endif

#endif
