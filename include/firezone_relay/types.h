/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file types.h
 * Addresses, time, and the hooks through which the library reaches memory, randomness and logs.
 */
#ifndef FIREZONE_RELAY_TYPES_H
#define FIREZONE_RELAY_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Marks what the shared library exports. */
#if defined(__GNUC__)
#define FZR_API __attribute__((visibility("default")))
#else
#define FZR_API
#endif

/** A moment of a monotonic clock, in nanoseconds. Where it starts is the caller's choice. */
typedef uint64_t fzr_time;

/** "At no time": what a deadline is when nothing is due. */
#define FZR_TIME_NEVER UINT64_MAX
/** One second, as a difference of two fzr_time. */
#define FZR_SECOND ((fzr_time)1000000000u)
/** One millisecond, likewise. */
#define FZR_MILLISECOND ((fzr_time)1000000u)

/** Address families, numbered as STUN does (RFC 8489 section 14.1). */
enum fzr_family {
  /** No address. An fzr_addr of zeros is of this family. */
  FZR_FAMILY_NONE = 0,
  /** IPv4: addresses of 4 bytes. */
  FZR_FAMILY_IPV4 = 1,
  /** IPv6: addresses of 16 bytes. */
  FZR_FAMILY_IPV6 = 2
};

/**
 * Transports between a client and the relay (RFC 8656 section 3.1). Between relay and peer it is
 * UDP.
 */
enum fzr_transport {
  /** UDP: the default, and what udp.h speaks. */
  FZR_TRANSPORT_UDP = 0,
  /** TCP. */
  FZR_TRANSPORT_TCP = 1,
  /** TLS over TCP. */
  FZR_TRANSPORT_TLS = 2,
  /** DTLS over UDP. */
  FZR_TRANSPORT_DTLS = 3
};

/**
 * A transport address. Two of them are equal when all their bytes are. Unused bytes must be zero:
 * the last 12 of `ip` for IPv4, and `scope_id` where it has no meaning.
 */
typedef struct fzr_addr {
  /** In network order. IPv4 stands in the first four bytes. */
  uint8_t ip[16];
  /** Of an IPv6 link-local address the index of the interface, else 0. */
  uint32_t scope_id;
  /** In host order. */
  uint16_t port;
  /** An enum fzr_family. */
  uint8_t family;
  /**
   * An enum fzr_transport: of a client, how it talks to the relay; of the relay's address that it
   * talks to, the same. So one address and port may be two clients, with an allocation each. 0 of
   * all others: peers, relayed addresses, addresses of a configuration. fzr_addr_parse gives 0, and
   * fzr_addr_format leaves it out.
   */
  uint8_t transport;
} fzr_addr;

/**
 * Memory hooks. The engine takes memory when it is created and while it handles control requests,
 * never on the data path.
 */
typedef struct fzr_mem {
  /** sizeof(fzr_mem); fzr_mem_init sets it. */
  size_t size;
  /** What both functions are called with. The application's. */
  void *ctx;
  /** Returns `size` bytes aligned for any type, or NULL: the request is then refused. */
  void *(*alloc)(void *ctx, size_t size);
  /** Takes back `ptr`, which alloc returned for `size` bytes. Never called with NULL. */
  void (*free)(void *ctx, void *ptr, size_t size);
} fzr_mem;

/**
 * `fzr_mem_init` returns hooks with `size` set and no functions: both are for the caller to fill
 * in.
 */
static inline fzr_mem fzr_mem_init(void)
{
  fzr_mem mem;
  memset(&mem, 0, sizeof mem);
  mem.size = sizeof mem;
  return mem;
}

/**
 * Fills |len| bytes at |out| with cryptographically strong random bytes. |ctx| is the
 * application's.
 * Returns 0, or any other value if it can't; the library then refuses what it needed them for.
 */
typedef int (*fzr_random_fn)(void *ctx, uint8_t *out, size_t len);

/** Levels of log records; each includes those before it. */
enum fzr_log_level {
  /** Nothing is logged. */
  FZR_LOG_OFF = 0,
  /** The relay cannot do its work. The engine makes no such records; a host may. */
  FZR_LOG_ERROR = 1,
  /** The operator may have to do something: something is short, or a limit is hit. */
  FZR_LOG_WARN = 2,
  /** What becomes of allocations and channels. */
  FZR_LOG_INFO = 3,
  /** Each request, and why it was refused. */
  FZR_LOG_DEBUG = 4,
  /** All there is. The engine makes no such records; a host may. */
  FZR_LOG_TRACE = 5
};

/** What a log record tells. */
enum fzr_log_event {
  /** A request was answered; `error_code` is 0 for success (debug). */
  FZR_LOG_REQUEST = 1,
  /** An Allocate succeeded (info). */
  FZR_LOG_ALLOCATION_CREATED = 2,
  /** A Refresh succeeded (info). */
  FZR_LOG_ALLOCATION_REFRESHED = 3,
  /** A Refresh with lifetime 0 has ended an allocation (info). */
  FZR_LOG_ALLOCATION_DELETED = 4,
  /** An allocation was not refreshed, and is over (info). */
  FZR_LOG_ALLOCATION_EXPIRED = 5,
  /** A ChannelBind has made a binding (info). */
  FZR_LOG_CHANNEL_BOUND = 6,
  /** A ChannelBind has refreshed a binding (debug). */
  FZR_LOG_CHANNEL_REBOUND = 7,
  /** Relaying ended, 610 s after the last ChannelBind (info). */
  FZR_LOG_CHANNEL_EXPIRED = 8,
  /** A CreatePermission succeeded (debug). */
  FZR_LOG_PERMISSION = 9,
  /** A request was answered with 403 for `peer_reason` (debug). */
  FZR_LOG_PEER_REFUSED = 10,
  /** The adapter could not open a port; another one is tried, or the client gets 508 (debug). */
  FZR_LOG_PORT_UNAVAILABLE = 11,
  /**
   * The same as FZR_LOG_PEER_REFUSED, which comes before it, but once an hour for each reason and
   * scope (info).
   */
  FZR_LOG_PEER_OUT_OF_REACH = 12,
  /** Relaying ended, because the peer may not be reached any more, for `peer_reason` (info). */
  FZR_LOG_CHANNEL_REVOKED = 13,
  /**
   * Requests of strangers in `client`'s /24 or /48 are not answered, because they exceed the rate.
   * Once a minute for each such prefix, over all engines of one fzr_shared, and for 64 of them at
   * most (warn).
   */
  FZR_LOG_STRANGERS_LIMITED = 14,
  /** An allocation was ended by a newer one of the same user (info). */
  FZR_LOG_ALLOCATION_REPLACED = 15,
  /**
   * Requests are answered with 508 because there are `max_channels` channels (`adapter_error` is
   * FZR_ERR_NO_CHANNEL), or no memory (FZR_ERR_NO_MEMORY). Once a minute for each of both, over all
   * engines of one fzr_shared (warn).
   */
  FZR_LOG_SHORT_OF_MEMORY = 16,
  /**
   * Binding requests of clients without allocation are not answered: `silent_when_full` is set, and
   * what `adapter_error` says is missing. Once an hour, over all engines of one fzr_shared (warn).
   */
  FZR_LOG_FULL = 17,
  /**
   * `client` speaks DTLS or TLS to a port where neither is spoken. Once an hour, likewise (info).
   */
  FZR_LOG_TLS_GREETING = 18,
  /**
   * Requests are not answered because as many as `integrity_rate` allows had a MESSAGE-INTEGRITY
   * for nothing, all senders together. Once a minute, over all engines of one fzr_shared (warn).
   */
  FZR_LOG_PROOFS_LIMITED = 19,
  /** The application has ended an allocation: see fzr_engine_end_allocation (info). */
  FZR_LOG_ALLOCATION_ENDED = 20,
  /** A permission ended, because the peer may not be reached any more, for `peer_reason` (info). */
  FZR_LOG_PERMISSION_REVOKED = 21,
  /** A Refresh with a ticket has moved an allocation to `client`, from `former_client` (info). */
  FZR_LOG_ALLOCATION_MOVED = 22,
  /**
   * Send indications of `client` are dropped, for `drop_reason`. Once in ten seconds for each
   * allocation and reason, over all engines of one fzr_shared, and for 64 of them at most (debug).
   * Where the reason is FZR_RELAY_CHANNELS, for an allocation once an hour at level info.
   */
  FZR_LOG_INDICATION_DROPPED = 23,
  /**
   * A client that can be reached could not log in: its username, password, realm or the time of its
   * credential is wrong, as `refusal` says. Once a minute for each /24 or /48 and reason, over all
   * engines of one fzr_shared, and for 64 of them at most; `count` says how many there were (info).
   */
  FZR_LOG_LOGIN_FAILED = 24,
  /**
   * An allocation that was loaded (fzr_engine_load) has ended, because a port of it could not be
   * opened, for `adapter_error` (info).
   */
  FZR_LOG_ALLOCATION_LOST = 25
};

/** Why a peer was refused, in the order in which the peer policy looks. */
enum fzr_peer_reason {
  /** It was not. */
  FZR_PEER_ALLOWED = 0,
  /** Port 0, or an address that no peer can have: unspecified, multicast, reserved. */
  FZR_PEER_NOBODY = 1,
  /** An address of the relay, and not a port for allocations. */
  FZR_PEER_OWN = 2,
  /** A rule denies it. */
  FZR_PEER_DENIED = 3,
  /** A port at which relays listen, 3478 or the relay's own, and no rule opens it. */
  FZR_PEER_RELAY = 4,
  /** Nearer than the relay's own public address: loopback, link-local, private. */
  FZR_PEER_SCOPE = 5,
  /** fzr_config.peer_policy said no. */
  FZR_PEER_APPLICATION = 6
};
/** How many reasons there are. */
#define FZR_PEER_REASONS 7

/**
 * Why a request was refused, where its error code has more than one cause. For the log alone:
 * nobody is told of it.
 */
enum fzr_refusal {
  /** The code says it. */
  FZR_REFUSAL_NONE = 0,
  /** 401: no USERNAME or no MESSAGE-INTEGRITY, as all clients begin. */
  FZR_REFUSAL_NO_CREDENTIALS = 1,
  /** 401: likewise, of clients that know the realm. */
  FZR_REFUSAL_NO_NONCE = 2,
  /** 401: nobody has that name, or it is not of the scheme's form. */
  FZR_REFUSAL_USERNAME = 3,
  /** 401: MESSAGE-INTEGRITY was made with another one. */
  FZR_REFUSAL_PASSWORD = 4,
  /** 401: it is of another realm. */
  FZR_REFUSAL_REALM = 5,
  /** 401: the credential's time is over. */
  FZR_REFUSAL_EXPIRED = 6,
  /** 438: the nonce is none of this engine for the client's address. */
  FZR_REFUSAL_NONCE_FOREIGN = 7,
  /** 438: it was, for too long. */
  FZR_REFUSAL_NONCE_OLD = 8,
  /** 400: USERNAME is too long or not UTF-8. */
  FZR_REFUSAL_USERNAME_TEXT = 9,
  /** 400: nothing is known of that method. */
  FZR_REFUSAL_METHOD = 10,
  /** 400: no `attribute`. */
  FZR_REFUSAL_MISSING = 11,
  /** 400: `attribute` has a value that it can't have, or none with what else there is. */
  FZR_REFUSAL_VALUE = 12,
  /** 400: the channel has another peer, or the peer another channel. */
  FZR_REFUSAL_CHANNEL_TAKEN = 13,
  /** 420: `attribute`, the first such one, is unknown or not supported. */
  FZR_REFUSAL_UNKNOWN = 14,
  /** 508: there are no new allocations any more. */
  FZR_REFUSAL_DRAINING = 15,
  /** 508: the allocation has as many channels as one may have. */
  FZR_REFUSAL_CHANNELS = 16,
  /** 508: `adapter_error` says for want of what. */
  FZR_REFUSAL_LACK = 17,
  /** 508: the allocation has as many permissions as one may have. */
  FZR_REFUSAL_PERMISSIONS = 18,
  /** 508: RESERVATION-TOKEN names no port that is reserved; it may have been, for 30 s. */
  FZR_REFUSAL_RESERVATION = 19
};

/**
 * One log record: facts, no text. Pointers are valid during the call only. Bytes that came off the
 * network (username, software) are as they came: escape them before they are shown.
 */
typedef struct fzr_log_record {
  /** An enum fzr_log_level. */
  uint8_t level;
  /** FZR_LOG_PORT_UNAVAILABLE: an enum fzr_family, that of the socket. */
  uint8_t family;
  /** An enum fzr_log_event. */
  uint16_t event;
  /** STUN method of the request, 0 where there was none. */
  uint16_t method;
  /** STUN error code of the answer, 0 for success. */
  uint16_t error_code;
  /** Relayed port, 0 if none. */
  uint16_t port;
  /** Channel number, 0 if none; as asked for where the request was refused. */
  uint16_t channel;
  /**
   * FZR_LOG_ALLOCATION_CREATED, FZR_LOG_ALLOCATION_REFRESHED: what the client was told, seconds.
   */
  uint32_t lifetime;
  /** FZR_LOG_LOGIN_FAILED: of the same prefix and reason, since the last such record. */
  uint32_t count;
  /**
   * FZR_LOG_PORT_UNAVAILABLE, FZR_LOG_ALLOCATION_LOST: what fzr_engine_port_result was given; or an
   * enum fzr_error.
   */
  int adapter_error;
  /** FZR_LOG_INDICATION_DROPPED: an enum fzr_drop_reason. */
  uint8_t drop_reason;
  /** The engine's time. */
  fzr_time now;
  /** The client's address, NULL if none. */
  const fzr_addr *client;
  /** The peer's address, NULL if none; of a CreatePermission the last one looked at. */
  const fzr_addr *peer;
  /** The transaction id of the request, 12 bytes, or NULL. */
  const uint8_t *txid;
  /** The request's USERNAME, not terminated; NULL if none. */
  const uint8_t *username;
  /** The request's SOFTWARE, not terminated; NULL if none. */
  const uint8_t *software;
  /** Bytes of `username`. */
  uint16_t username_len;
  /** Bytes of `software`. */
  uint16_t software_len;
  /** FZR_LOG_PEER_…, FZR_LOG_…_REVOKED: enum fzr_peer_reason. */
  uint8_t peer_reason;
  /** FZR_LOG_REQUEST, FZR_LOG_LOGIN_FAILED: enum fzr_refusal. */
  uint8_t refusal;
  /** FZR_LOG_REQUEST: the type that `refusal` is about, 0 if none. */
  uint16_t attribute;
  /** FZR_LOG_PEER_…, FZR_LOG_…_REVOKED: the IPv4 address in `peer` it is about, or NULL. */
  const fzr_addr *peer_inner;
  /** FZR_LOG_PEER_…, FZR_LOG_…_REVOKED: the rule that denies it, or NULL. */
  const struct fzr_peer_rule *peer_rule;
  /** FZR_LOG_ALLOCATION_CREATED: its IPv4 and IPv6 relayed addresses, or NULL. */
  const fzr_addr *relayed[2];
  /** FZR_LOG_ALLOCATION_MOVED: the address that the client had before, or NULL. */
  const fzr_addr *former_client;
} fzr_log_record;

/**
 * Takes one |record|, which is valid during the call only. |ctx| is the application's. It is called
 * on the engine's thread, and packets wait meanwhile. It must not call back into the engine.
 */
typedef void (*fzr_log_fn)(void *ctx, const fzr_log_record *record);

/**
 * `fzr_addr_ipv4` returns an IPv4 address of the four bytes |ip| in network order and a |port| in
 * host order. Its transport is FZR_TRANSPORT_UDP.
 */
static inline fzr_addr fzr_addr_ipv4(const uint8_t ip[4], uint16_t port)
{
  fzr_addr a = {{ip[0], ip[1], ip[2], ip[3]}, 0, port, FZR_FAMILY_IPV4, 0};
  return a;
}

/**
 * `fzr_addr_ipv6` returns an IPv6 address of the 16 bytes |ip| in network order and a |port| in
 * host order. It has no scope, and its transport is FZR_TRANSPORT_UDP.
 */
static inline fzr_addr fzr_addr_ipv6(const uint8_t ip[16], uint16_t port)
{
  fzr_addr a = {{ip[0], ip[1], ip[2], ip[3], ip[4], ip[5], ip[6], ip[7], ip[8], ip[9], ip[10],
                 ip[11], ip[12], ip[13], ip[14], ip[15]},
                0,
                port,
                FZR_FAMILY_IPV6,
                0};
  return a;
}

/** Longest text fzr_addr_format writes, its terminating zero included. */
#define FZR_ADDR_TEXT_MAX 72

/**
 * `fzr_addr_parse` reads an address from the zero-terminated |text|: "192.0.2.1", "192.0.2.1:3478",
 * "2001:db8::1", "[2001:db8::1]:3478". The port is 0 where none is given. |out| is written on
 * success only.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |text| is no such address, or a pointer is NULL. Host names are not
 *   looked up. Tell whoever wrote it.
 */
FZR_API int fzr_addr_parse(const char *text, fzr_addr *out);

/**
 * `fzr_addr_format` writes |addr| as text, zero-terminated, into the |cap| bytes at |out|:
 * "192.0.2.1:3478", "[2001:db8::1]:3478" (RFC 5952); without ":port" and brackets where |with_port|
 * is false.
 *
 * Returns the length written without the zero, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_BUFFER_TOO_SMALL: give it more room; FZR_ADDR_TEXT_MAX bytes always do.
 */
FZR_API int fzr_addr_format(const fzr_addr *addr, bool with_port, char *out, size_t cap);

/**
 * `fzr_addr_equal` tells whether |a| and |b| are the same transport address: family, address,
 * scope, port and transport. O(1).
 */
FZR_API bool fzr_addr_equal(const fzr_addr *a, const fzr_addr *b);

#ifdef __cplusplus
}
#endif

#endif
