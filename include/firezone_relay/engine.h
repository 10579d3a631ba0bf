/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file engine.h
 * The sans-IO STUN/TURN engine. Datagrams go in; for each it says "drop", "handled" or "forward
 * these bytes from that port to this address". It makes no system call, reads no clock, and takes
 * no memory on the data path. One engine is one shard: not thread-safe, sharing nothing but an
 * fzr_shared.
 *
 * Allocations, channels and permissions live 10 s longer than clients are told, because many
 * refresh them on the last second, or a bit late.
 *
 * How to drive it: fzr_engine_rx, fzr_engine_on_deadline and fzr_engine_port_result give it input.
 * After each of them act on the verdicts, take all events, then take all transmits. driver.h does
 * that for you.
 */
#ifndef FIREZONE_RELAY_ENGINE_H
#define FIREZONE_RELAY_ENGINE_H

#include "auth.h"
#include "error.h"
#include "stun.h"
#include "types.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One engine: its allocations, channels and answers. It is opaque, and for one thread at a time.
 */
typedef struct fzr_engine fzr_engine;

/**
 * What the shards of one relay share. It is the pool of ports, and which of them are of live
 * allocations. It is how many allocations each user has, or which is his newest; and how many
 * channels there are (max_channels). It is what the relay lacks (fzr_shared_lacks), and what the
 * log was told lately. So a line that may come once an hour comes once of all engines together.
 *
 * Lock-free. Any number of engines on any threads may use one, if they are told the time by one
 * clock. A port that was given back rests for 10 s before it is given out again. One that another
 * program was seen to hold is passed over for a minute. Both only as long as there are others.
 */
typedef struct fzr_shared fzr_shared;

/**
 * `fzr_shared_new` makes the pool for ports |lowest| to |highest|, both included. |mem| is copied;
 * NULL means malloc and free. On success *|out| is the caller's; free it after the last engine that
 * uses it. The first engine with fzr_config.mobility takes more memory of it, 16 to 32 bytes for
 * each port: |mem| has to be fit for the thread that makes that one.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |out| is NULL, or |mem| lacks a function or is too short. Mend the
 *   call.
 * - FZR_ERR_CONFIG_PORTS: |lowest| is 0 or above |highest|. Tell the operator.
 * - FZR_ERR_UNSUPPORTED: |mem| is of a later release and sets what this one does not know.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_shared_new(uint16_t lowest, uint16_t highest, const fzr_mem *mem, fzr_shared **out);

/** `fzr_shared_free` frees |shared|; NULL is fine. No engine may use it any more. */
FZR_API void fzr_shared_free(fzr_shared *shared);

/**
 * `fzr_shared_ports_in_use` returns how many ports of |shared| are taken, a snapshot; 0 of NULL.
 */
FZR_API uint32_t fzr_shared_ports_in_use(const fzr_shared *shared);

/**
 * `fzr_shared_lacks` returns what the engines of |shared| lack for a further allocation at |now|
 * (their time). FZR_ERR_NO_PORT: all ports are taken. If a request got 508 in the last 30 s, and no
 * allocation has ended since, it is the reason for that. That may be FZR_ERR_NO_PORT (other
 * programs hold them), FZR_ERR_IO_NO_SOCKET, FZR_ERR_NO_MEMORY or FZR_ERR_NO_CHANNEL. 0 if there is
 * room, as far as is known, and for NULL. Any thread.
 */
FZR_API int fzr_shared_lacks(const fzr_shared *shared, fzr_time now);

/**
 * A rule of the peer policy: may users reach peers within this prefix, at all ports or at one? The
 * longest matching prefix decides; of two equal ones that which names a port, and then deny.
 */
typedef struct fzr_peer_rule {
  /**
   * Family and address, bits past the prefix 0; transport 0. Port: the only one that is meant, 0:
   * all.
   */
  fzr_addr net;
  /** How many bits of the address count: 0 to 32, or 0 to 128. */
  uint8_t prefix;
  /** Whether peers within are allowed, or denied. */
  bool allow;
  /** Set it to 0. This release does not look at it. */
  uint8_t reserved[2];
} fzr_peer_rule;

/**
 * `fzr_peer_rule_parse` reads "192.0.2.0/24" or "2001:db8::/32" (a bare address is a host) from the
 * zero-terminated |text|; with a port "192.0.2.0/24:3478", "[2001:db8::1]:3478" or
 * "[2001:db8::/32]:3478". |out| is written on success only.
 *
 * Returns 0, or
 * - FZR_ERR_CONFIG_RULE: a pointer is NULL, |text| is no CIDR, its prefix is too long, bits past
 *   the prefix are set, or the port is none. Tell whoever wrote it.
 */
FZR_API int fzr_peer_rule_parse(const char *text, bool allow, fzr_peer_rule *out);

/** Longest text fzr_peer_rule_format writes, its terminating zero included. */
#define FZR_PEER_RULE_TEXT_MAX (FZR_ADDR_TEXT_MAX + 12)

/**
 * `fzr_peer_rule_format` writes network and port of |rule|, as fzr_peer_rule_parse reads them,
 * zero-terminated, into the |cap| bytes at |out|.
 *
 * Returns the length written without the zero, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_BUFFER_TOO_SMALL: give it more room; FZR_PEER_RULE_TEXT_MAX bytes always do.
 */
FZR_API int fzr_peer_rule_format(const fzr_peer_rule *rule, char *out, size_t cap);

/**
 * Decides whether the client at |client| may reach |peer|. |by_default| is what the built-in policy
 * says. Called for each ChannelBind and CreatePermission, for channels and permissions whose peer's
 * address became one of the relay's own, and for all of them after fzr_engine_set_peer_rules. A
 * permission is for all ports of an address: with FZR_RELAY_FULL it is called with the data, too,
 * for each run of datagrams to or from a peer without a channel, about the port that they have.
 * Must not block and not call into the engine.
 */
typedef bool (*fzr_peer_policy_fn)(void *ctx, const fzr_addr *client, const fzr_addr *peer,
                                   bool by_default);

/**
 * Whether a new allocation ends the older one that the same user has on another 5-tuple, in
 * whichever of the engines that share an fzr_shared. A client whose NAT has given it another port
 * cannot use the older one any more. It must not find that as it was when the NAT gives it the
 * first port back: there it gets 437, and allocates anew. A user is a username, of the schemes with
 * an expiry what follows it. max_allocations_per_user does not matter where allocations are
 * replaced: users have one. All engines that share an fzr_shared must be set alike. Each transport
 * of clients (fzr_addr.transport) counts by itself, one allocation each. So a client keeps both
 * that tries UDP and TCP at once, to see which gets through.
 */
enum fzr_replace {
  /** With FZR_AUTH_STAMP, where each client has credentials of its own; not with others. */
  FZR_REPLACE_DEFAULT = 0,
  /** With no scheme: users may have several allocations. */
  FZR_REPLACE_NEVER = 1,
  /** Right only where no two clients have one username, and each has one allocation. */
  FZR_REPLACE_ALWAYS = 2
};

/** The most bytes of a user's name that are kept; what is behind them is not. */
#define FZR_USER_NAME_MAX 128u

/**
 * What there is to know of an allocation: a session of a client. The struct is frozen: it will not
 * grow.
 */
typedef struct fzr_allocation {
  /** The client's address. */
  fzr_addr client;
  /** The relay's address that the client talks to. With `client` it is the 5-tuple. */
  fzr_addr server;
  /**
   * The relayed addresses, IPv4 and IPv6; family FZR_FAMILY_NONE where there is none. Both have one
   * port.
   */
  fzr_addr relayed[2];
  /** When it ends if it is not refreshed: 10 s later than the client was told. */
  fzr_time expires;
  /**
   * Whose it is: what fzr_engine_user returns for the username that it was used with last. Users
   * with equal first bytes of their names are told apart by it.
   */
  uint64_t user;
  /**
   * Which one it is: not 0, and no other one of this relay's, before it or after it. It is the same
   * in an engine that goes on from this one (fzr_engine_load), and when the client moves. 0 while
   * `opening`.
   */
  uint64_t id;
  /** When it began to live, to within 135 ms. */
  fzr_time began;
  /** Datagrams that were relayed for it: [0] from the client to peers, [1] to the client. */
  uint64_t packets[2];
  /** Payload bytes of those. */
  uint64_t bytes[2];
  /** How many channels it has, those included whose number rests. */
  uint32_t channels;
  /** How many permissions. */
  uint32_t permissions;
  /**
   * It does not live yet: its port is being opened (FZR_EVENT_PORT_OPEN), and its Allocate was not
   * answered. fzr_stats.allocations does not count it.
   */
  bool opening;
  /** Bytes of `user_name`; 0: it is not known. */
  uint8_t user_name_len;
  /**
   * The name of the user: of the schemes with an expiry what follows that. It is as it came off the
   * network: escape it before it is shown. With fzr_config.keep_user_names.
   */
  uint8_t user_name[FZR_USER_NAME_MAX];
  /** The library writes 0. It is for what is to come. */
  uint8_t reserved[22];
} fzr_allocation;

/** What is told by fzr_config.usage. */
enum fzr_usage_type {
  /** An allocation began to live. */
  FZR_USAGE_ALLOCATED = 1,
  /** A channel of it was bound; refreshes are not told. */
  FZR_USAGE_BOUND = 2,
  /** It has ended. Nothing is relayed for it any more: what it has counted is all. */
  FZR_USAGE_ENDED = 3
};

/** Why an allocation has ended. */
enum fzr_end_reason {
  /** It has not. */
  FZR_END_NONE = 0,
  /** Its client gave it back: a Refresh with a lifetime of 0. */
  FZR_END_CLIENT = 1,
  /** It was not refreshed in time. */
  FZR_END_EXPIRED = 2,
  /** A newer one of the same user has taken its place: fzr_config.replace_allocations. */
  FZR_END_REPLACED = 3,
  /** fzr_engine_end_allocation or fzr_engine_end_allocation_at, as where a connection has ended. */
  FZR_END_APPLICATION = 4,
  /** fzr_engine_end_allocation_by_id or fzr_engine_end_user. */
  FZR_END_OPERATOR = 5,
  /** It was loaded (fzr_engine_load), and a port of it could not be opened. */
  FZR_END_LOST = 6
};
/** How many reasons there are in this release. */
#define FZR_END_REASONS 7

/**
 * `fzr_end_reason_name` returns a name for |reason|: "client", "expired" and so on; "none" for
 * FZR_END_NONE, and "other" for no reason. It is constant.
 */
FZR_API const char *fzr_end_reason_name(unsigned reason);

/** What is told of an allocation. Pointers are valid during the call only. */
typedef struct fzr_usage {
  /** An enum fzr_usage_type. */
  uint8_t type;
  /** FZR_USAGE_ENDED: an enum fzr_end_reason. */
  uint8_t reason;
  /** FZR_USAGE_BOUND: the channel's number. */
  uint16_t channel;
  /** The engine's time. */
  fzr_time now;
  /** FZR_USAGE_BOUND: the peer's address; else NULL. */
  const fzr_addr *peer;
  /**
   * The allocation as it is now. What the packets of the call that binds a channel have carried is
   * not in it yet.
   */
  const fzr_allocation *allocation;
} fzr_usage;

/**
 * Takes one |usage|, which is valid during the call only. |ctx| is the application's. It is called
 * on the engine's thread, and packets wait meanwhile. It must not call into the engine.
 *
 * What begins is told when its socket is open, before its client is answered. What has ended is
 * told by fzr_engine_next_event, once the allocation's last event was taken. So an offload's last
 * figures can be added before that: at its CHANNEL_UNBOUND, by fzr_engine_add_offloaded. The sum of
 * `bytes` of all that have ended and of all that still live is that of fzr_stats, and what was
 * added. An engine that is freed tells nothing of what lives in it: whoever does not go on from its
 * state lists that first. What is loaded began long ago, and is not told of again.
 */
typedef void (*fzr_usage_fn)(void *ctx, const fzr_usage *usage);

/** How clients reach peers. */
enum fzr_relay_mode {
  /**
   * As RFC 8656 says: through channels, and with Send and Data indications, for which a permission
   * is enough. What browsers and other WebRTC clients need.
   */
  FZR_RELAY_FULL = 0,
  /**
   * Through channels alone. CreatePermission succeeds and opens nothing, Send indications are
   * dropped (FZR_DROP_STUN_NOT_REQUEST), and of a peer without a channel nothing is taken.
   */
  FZR_RELAY_CHANNELS = 1
};

/** For limits of fzr_config whose 0 means "the default": no limit. */
#define FZR_UNLIMITED UINT32_MAX

/**
 * How to make an engine. Start from zero with `size` set (fzr_config_init); 0 and NULL mean the
 * default. Everything it points to is copied, but for `shared` and the contexts.
 */
typedef struct fzr_config {
  /** sizeof(fzr_config); fzr_config_init sets it. */
  size_t size;

  /** Where memory comes from; NULL: malloc and free. */
  const fzr_mem *mem;
  /** Where random bytes come from. It is required. */
  fzr_random_fn random;
  /** What `random` is called with. */
  void *random_ctx;
  /** What takes log records, those up to `log_level`; NULL: there are none. */
  fzr_log_fn log;
  /** What `log` is called with. */
  void *log_ctx;
  /**
   * The last level that `log` gets, an enum fzr_log_level: records of others are not even made. 0
   * is FZR_LOG_OFF, no records: set it, too. What is above FZR_LOG_TRACE lets all through.
   */
  uint8_t log_level;

  /** Begin refusing new allocations, see fzr_engine_set_draining. */
  bool draining;
  /** An enum fzr_replace. */
  uint8_t replace_allocations;
  /** An enum fzr_relay_mode. */
  uint8_t relay_mode;

  /**
   * What clients are told as relayed address; family NONE: not offered. Port and transport are
   * ignored.
   */
  fzr_addr public_ip4;
  /** Likewise. At least one of both is required. */
  fzr_addr public_ip6;
  /**
   * The port that clients talk to; 0: 3478. The peer policy alone uses it: no peer has it. With
   * fzr_udp leave it 0: the adapter tells the engine its own port. See fzr_engine_add_listen_port.
   */
  uint16_t listen_port;
  /** The first port for allocations; 0: 49152. */
  uint16_t lowest_port;
  /** The last port for allocations; 0: 65535. */
  uint16_t highest_port;
  /** Set it to 0. This release does not look at it. */
  uint16_t reserved2;
  /**
   * What the shards of one relay share: made for exactly this range of ports, and it outlives the
   * engine. NULL: the engine has one of its own.
   */
  fzr_shared *shared;

  /** How users are authenticated. It is required. */
  enum fzr_auth_kind auth;
  /**
   * FZR_AUTH_STAMP, FZR_AUTH_REST: 1 to 255 bytes. Everybody who has a username and its password
   * can guess the secret at the speed of a hash: use 16 random bytes or more.
   */
  const char *auth_secret;
  /**
   * FZR_AUTH_STATIC: the users, one at least. FZR_AUTH_REST: users beside those that the secret
   * makes; NULL: none. See fzr_engine_set_users.
   */
  const fzr_user *users;
  /** How many there are. */
  size_t user_count;
  /** FZR_AUTH_CALLBACK: who is asked. */
  fzr_auth_fn auth_fn;
  /** What `auth_fn` is called with. */
  void *auth_ctx;
  /** The realm, at most 127 bytes; NULL: "firezone". */
  const char *realm;
  /** SOFTWARE of answers; NULL: "firezone-relay/" and the version; "": none; at most 63. */
  const char *software;

  /** Rules of the peer policy; NULL: none. See fzr_engine_set_peer_rules. */
  const fzr_peer_rule *peer_rules;
  /** How many there are. */
  size_t peer_rule_count;
  /** Who is asked beside the built-in policy; NULL: nobody. */
  fzr_peer_policy_fn peer_policy;
  /** What `peer_policy` is called with. */
  void *peer_policy_ctx;
  /** Further addresses of this relay (bind addresses). Ports and transports are ignored. */
  const fzr_addr *own_addrs;
  /** How many there are. */
  size_t own_addr_count;
  /** Further ports that no peer may have on own addresses (health, control). */
  const uint16_t *own_ports;
  /** How many there are. */
  size_t own_port_count;

  /**
   * How many allocations a user may have; 0: no limit. Over it 486. This and the limits that follow
   * may change: see fzr_engine_set_limits.
   */
  uint32_t max_allocations_per_user;
  /**
   * How many channels an allocation may have; 0: 4096. Over it 508. In full mode each address that
   * they lead to takes a permission, too, so that max_permissions_per_allocation bounds addresses:
   * a client with channels to more of them than its default needs more of both.
   */
  uint32_t max_channels_per_allocation;
  /**
   * How many channels, those whose number rests included, and permissions all engines that share
   * `shared` may have. It bounds memory: a channel takes up to 200 bytes, a permission up to 64. 0:
   * 1048576, about 200 MB; FZR_UNLIMITED: none. Over it 508, and FZR_LOG_SHORT_OF_MEMORY.
   */
  uint32_t max_channels;
  /** Bytes of payload a second, both directions together; 0: no limit. */
  uint64_t max_bandwidth_per_allocation;
  /** Answers to strangers a second per /24 or /48; 0: 1000; FZR_UNLIMITED: no limit. */
  uint32_t unauthenticated_rate;
  /** How many of them at once; 0: twice the rate. */
  uint32_t unauthenticated_burst;
  /** Answers held until taken; 0: 256; a power of two. */
  uint32_t answer_ring;
  /**
   * Error answers a second for a 5-tuple; 0: 10; FZR_UNLIMITED: no limit. A client that asks for
   * the same again and again gets no more of them in any second. Half of them it gets at once; then
   * it waits for its own time-out. The same is: of one method, refused with one error code, for the
   * same channel and peers. Requests that differ get ten times the rate at once. Those for peers
   * that an allocation's client may not have get a hundred times that.
   */
  uint32_t error_rate;

  /**
   * FZR_AUTH_STAMP, FZR_AUTH_REST: another secret, as good as `auth_secret`; NULL: none. See
   * fzr_engine_set_secrets.
   */
  const char *auth_second_secret;
  /**
   * How many MESSAGE-INTEGRITYs a second are computed for requests that then turn out to be no
   * authenticated ones. So forged requests cannot use up the time of those who relay. 0: 20000, or
   * no limit where unauthenticated_rate has none; FZR_UNLIMITED: no limit. Twice that at once.
   * Requests over it are dropped.
   */
  uint32_t integrity_rate;
  /**
   * A credential whose time is over stays good for the allocation that it was used with, so that a
   * call does not end with it. It is the one that made or last refreshed the allocation. No other
   * that has expired does, of the same user or not; and its secret has to be one of those that
   * there are.
   *
   * Once the client was told that the allocation is over, an Allocate on its 5-tuple takes a
   * credential that is good by itself. Always so with FZR_AUTH_REST, whose clients cannot change
   * credentials in a session. Default: false.
   */
  bool allocations_outlive_credentials;
  /**
   * Binding requests of clients without allocation are not answered (FZR_DROP_FULL) while there is
   * no room for one (see fzr_shared_lacks), or the engine is draining. Clients that know several
   * relays turn to another one. Default: false.
   */
  bool silent_when_full;
  /**
   * Clients may take their allocations along to another address (RFC 8016). An Allocate with an
   * empty MOBILITY-TICKET is answered with a ticket. A Refresh with that, from any other 5-tuple,
   * moves the allocation there, with its relayed address, channels and permissions. Its old 5-tuple
   * has no allocation any more: what the client still sends from there is dropped. RFC 8016 section
   * 3.2.2 would keep it until data comes from the new one. Without mobility 405.
   *
   * It takes two round trips: first a 438 with a nonce for the new address, without which nothing
   * moves, for anybody could be named as the source of a single datagram; then the Refresh. There
   * is data within one round trip of the Refresh that is answered with success.
   *
   * An allocation with thousands of channels moves a few times in a row, then about once a second:
   * a Refresh that comes too soon is not answered, and the client repeats it.
   *
   * A ticket is signed with the request. It lasts as long as the allocation, and is good at all
   * engines that share `shared` and have this set alike: what one of them hears of another's client
   * goes on within the host. A client over TCP or TLS moves within the engine that hears it.
   */
  bool mobility;
  /**
   * Clients are not offered keys by SHA-256 (PASSWORD-ALGORITHMS, RFC 8489 section 9.2.4). It is
   * for an `auth_fn` that has keys by MD5 alone, as tables of other servers do. It is so in any
   * case with FZR_AUTH_STAMP, and while one of the users came as a key. Default: false.
   */
  bool md5_keys_only;
  /**
   * FZR_RELAY_FULL: an Allocate that names no address family means IPv4 (RFC 8656 section 7.2). So
   * it gets 440 where there is no relayed IPv4 address. Default: false; it gets an IPv6 one there
   * then, for browsers name none.
   */
  bool strict_families;
  /**
   * FZR_RELAY_FULL: how many permissions an allocation may have, those that ChannelBind installs
   * included; 0: 1024; FZR_UNLIMITED: no limit. Over it 508.
   */
  uint32_t max_permissions_per_allocation;
  /**
   * From how many ports in use on (fzr_shared_ports_in_use: about as many as allocations) clients
   * are sent to another server, see `alternate_ip4`. 0: only where the engine drains, or has no
   * room.
   */
  uint32_t alternate_over;
  /**
   * Where else clients that talk IPv4 to this relay find one; family NONE: nowhere, the default.
   * While the engine drains, from `alternate_over` on, and where there is no room, Allocates of
   * clients without allocation, or who were told that theirs is over, are answered with 300 (Try
   * Alternate). This address is the ALTERNATE-SERVER. RFC 8489 section 10. Its port must not be 0;
   * its transport is ignored.
   *
   * Chromium, libnice, libjuice, libre and coturn's client turn to that server; pion, aioice and
   * werift take it for a refusal, as 508 is. So it helps many, and harms nobody. Firezone's clients
   * know their relays from the portal: leave it out there.
   */
  fzr_addr alternate_ip4;
  /** The same for clients that talk IPv6 to it: a server is named to those of its family alone. */
  fzr_addr alternate_ip6;
  /** What is told of allocations that begin and end, and of channels; NULL: nothing is. */
  fzr_usage_fn usage;
  /** What `usage` is called with. */
  void *usage_ctx;
  /**
   * The engine keeps the names of users, for fzr_allocation.user_name. Such a name takes 24 bytes
   * for each 19 of it. Default: false.
   */
  bool keep_user_names;
} fzr_config;

/** `fzr_config_init` returns a config of defaults, with `size` set. */
static inline fzr_config fzr_config_init(void)
{
  fzr_config config;
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  return config;
}

/**
 * `fzr_engine_new` makes an engine. |now| is the moment it starts from; no later call may pass an
 * earlier one (an earlier one counts as the latest seen). Until fzr_engine_set_wallclock is called,
 * credentials that expire are judged as if it were 1970. On success *|out| is the caller's.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, or `size` is too small. Mend the call.
 * - FZR_ERR_UNSUPPORTED: |config| is of a later release and sets what this one does not know.
 * - FZR_ERR_CONFIG_…: a member is out of its range, and the code says which. Tell the operator.
 * - FZR_ERR_NO_MEMORY: try again later.
 * - FZR_ERR_NO_RANDOM: `random` failed. Try again later.
 */
FZR_API int fzr_engine_new(const fzr_config *config, fzr_engine **out, fzr_time now);

/**
 * `fzr_engine_free` frees |engine| and all it holds and wipes its secrets; NULL is fine. Sockets
 * stay the caller's.
 */
FZR_API void fzr_engine_free(fzr_engine *engine);

/** Whose datagrams they are. */
enum fzr_side {
  /** Came to a listen port. */
  FZR_SIDE_CLIENT = 0,
  /** Came to an allocation's port. */
  FZR_SIDE_PEER = 1
};

/** What came in: a datagram, or a run of them as GRO delivers it. */
typedef struct fzr_pkt {
  /** The caller's; never kept past the call. */
  const uint8_t *data;
  /** Bytes of all segments. */
  uint32_t len;
  /** Size of each segment but the last; 0: `data` is one datagram. */
  uint16_t seg;
  /** Set it to 0. This release does not look at it. */
  uint16_t reserved;
  /** Who sent it. */
  fzr_addr from;
  /** Local address and port it came to; of FZR_SIDE_PEER only family and port matter. */
  fzr_addr to;
} fzr_pkt;

/** What a verdict says. */
enum fzr_action {
  /** `reason` says why; `count` segments. */
  FZR_ACT_DROP = 0,
  /** A request; its answer, if any, comes from fzr_engine_next_transmit. */
  FZR_ACT_HANDLED = 1,
  /** Send `count` datagrams. */
  FZR_ACT_FORWARD = 2
};

/** The longest header that a verdict puts in front of a payload. */
#define FZR_HEADER_MAX 64u
/** The most bytes that a verdict puts behind one. */
#define FZR_PAD_MAX 3u

/**
 * fzr_verdict.flow: that of Send and Data indications, which belong to no channel, and of what goes
 * to another engine (FZR_VERDICT_TO_SHARD).
 */
#define FZR_FLOW_NONE UINT32_MAX

/** fzr_verdict.flags: `to` is one of the relay's own addresses, so an allocation's port. */
#define FZR_VERDICT_TO_OWN 0x01u
/**
 * fzr_verdict.flags: the last datagram has a header of its own, which follows the other one at
 * `hdr` + `hdr_len`.
 */
#define FZR_VERDICT_TAIL_HDR 0x02u
/**
 * fzr_verdict.flags: each datagram has a header of its own. They follow each other at `hdr`,
 * `hdr_len` bytes each. So do those of Data indications, which have a transaction id each.
 */
#define FZR_VERDICT_OWN_HDRS 0x04u
/**
 * fzr_verdict.flags: none of the datagrams may be fragmented, by this host or on the way (DF of
 * IPv4). One that is too large for its path is dropped, as all are by an adapter that can't see to
 * it. The client has asked for that in its Send indication, RFC 8656 section 11.2.
 */
#define FZR_VERDICT_DONT_FRAGMENT 0x08u
/**
 * fzr_verdict.flags: what a client sent goes to another engine of the same fzr_shared, which has
 * its allocation (fzr_config.mobility). `to` is the port of that, and `hdr` is for that engine
 * alone: an adapter does not send it once the port is not live (fzr_engine_port_is_live), for
 * another program may have the port then. `flow` is FZR_FLOW_NONE, and nothing is counted as
 * relayed yet. Comes with FZR_VERDICT_TO_OWN.
 */
#define FZR_VERDICT_TO_SHARD 0x10u

/**
 * What to do with `count` consecutive datagrams of one flow. They may have come in several fzr_pkt,
 * where those lie in memory at equal distances, as slots of a receive buffer do.
 *
 * To forward: datagram i is a header, then `len` bytes at `data` + i * `stride`, then `pad` bytes
 * that are 0. It has at most FZR_UDP_PAYLOAD_MAX bytes. Of the last one (i == `count` - 1) the
 * payload has `tail_len` bytes, and `tail_pad` bytes follow. Its payload and the whole of it may be
 * shorter, but are never longer. The payload is empty only if all are, for GSO can send no empty
 * tail. Headers have one length, but may be other ones (FZR_VERDICT_TAIL_HDR,
 * FZR_VERDICT_OWN_HDRS); fzr_verdict_header returns that of any datagram. Send them from local port
 * `from.port` (and address, where bound to a wildcard) to `to`.
 *
 * The struct is frozen: it will not grow.
 */
typedef struct fzr_verdict {
  /** The first payload; inside the fzr_pkt's bytes. */
  const uint8_t *data;
  /**
   * The header of all datagrams but the last: the engine's, valid until its next input, as a
   * transmit's bytes are.
   */
  const uint8_t *hdr;
  /**
   * The cookie of the socket to send from, as given to fzr_engine_port_result; NULL: a listen
   * socket.
   */
  void *io;
  /** Bytes from one payload's begin to the next one's. */
  uint32_t stride;
  /**
   * Names the channel while it lives: equal for all of one flow and direction. FZR_FLOW_NONE: there
   * is no channel.
   */
  uint32_t flow;
  /** Which fzr_pkt of the batch the first of them came from. */
  uint32_t in_idx;
  /** How many datagrams there are. */
  uint16_t count;
  /** Bytes of each payload but the last. */
  uint16_t len;
  /** Bytes of the last payload. */
  uint16_t tail_len;
  /** An enum fzr_action. */
  uint8_t action;
  /** An enum fzr_drop_reason. */
  uint8_t reason;
  /** Bytes of each header, up to FZR_HEADER_MAX; 0: there is none, and `hdr` is not to be read. */
  uint8_t hdr_len;
  /** Bytes behind each payload but the last, up to FZR_PAD_MAX. */
  uint8_t pad;
  /** Bytes behind the last payload, likewise. */
  uint8_t tail_pad;
  /** FZR_VERDICT_… */
  uint8_t flags;
  /** Where to send them. */
  fzr_addr to;
  /** Where to send them from. */
  fzr_addr from;
} fzr_verdict;

/**
 * `fzr_verdict_header` returns the `hdr_len` bytes of the header of datagram |i| of |verdict|,
 * which has more than |i|.
 */
static inline const uint8_t *fzr_verdict_header(const fzr_verdict *verdict, size_t i)
{
  if (verdict->flags & FZR_VERDICT_OWN_HDRS)
    return verdict->hdr + i * verdict->hdr_len;
  const bool own = (verdict->flags & FZR_VERDICT_TAIL_HDR) && i + 1 == verdict->count;
  return own ? verdict->hdr + verdict->hdr_len : verdict->hdr;
}

/**
 * Packets for fzr_engine_rx, and room for its verdicts. The struct and both arrays are the
 * caller's, and the engine keeps none of them. Set the first four members and let the others be
 * zero. The struct is frozen: it will not grow.
 */
typedef struct fzr_batch {
  /** The packets, in the order in which they came. */
  fzr_pkt *in;
  /** How many packets there are. */
  size_t count;
  /** Where the verdicts go. What is in them before does not matter. */
  fzr_verdict *out;
  /** How many verdicts fit there; at least 1. */
  size_t room;
  /**
   * How many packets are done. A call begins with this one and moves it on: all are done when it is
   * `count`.
   */
  size_t consumed;
  /** How many verdicts the last call wrote, from the first one on. */
  size_t written;
} fzr_batch;

/**
 * `fzr_engine_rx` takes the packets of |batch| that are not done yet, in order, and writes a
 * verdict for each run of them. All came to |side|: FZR_SIDE_CLIENT those at listen ports,
 * FZR_SIDE_PEER those at ports of allocations, where `to.port` and `to.family` say at which.
 *
 * It stops early when the verdicts fill their room, or are 1024, their headers the engine's room,
 * or answers their ring. The first packet that is not done may then be partly done: its `data` and
 * `len` were moved on. So after each call, act on the verdicts, take events and transmits, and call
 * again while `consumed` is less than `count`. If the ring is full when it is called, it does not
 * stop but drops answers and counts them; so each call gets on.
 *
 * Nothing that a packet holds makes it fail. RFC 8656 sections 7 to 12.
 *
 * Returns 0, or, with `written` 0 and no packet looked at:
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, there is no room for a verdict, or |side| is none.
 *   Mend the call.
 */
FZR_API int fzr_engine_rx(fzr_engine *engine, enum fzr_side side, fzr_batch *batch, fzr_time now);

/**
 * An ICMP error that came back for a datagram to a peer. The struct is frozen: it will not grow.
 */
typedef struct fzr_peer_error {
  /** To whom the datagram was. Its family is that of the relayed address, too. */
  fzr_addr peer;
  /**
   * The next hop's MTU, where it is told: "fragmentation needed" (ICMP type 3, code 4) and "packet
   * too big" (ICMPv6 type 2). Else it is not looked at.
   */
  uint32_t mtu;
  /** The relayed port that the datagram left from. */
  uint16_t port;
  /** Type of the ICMP message, or of the ICMPv6 message if `peer` is an IPv6 address. */
  uint8_t type;
  /** Its code. */
  uint8_t code;
} fzr_peer_error;

/**
 * `fzr_engine_peer_error` has the client told of |error|, which came for what it has sent to a
 * peer: a Data indication with an ICMP attribute comes from fzr_engine_next_transmit. RFC 8656
 * section 11.6.
 *
 * Anybody can forge such errors. So the client is told of those that RFC 8656 names (unreachable,
 * too big, time exceeded), about peers for whose address it has a permission or to whom it has a
 * channel, of one a second for each peer, and all clients together of some 1,000 a second. Others
 * are counted (fzr_stats.peer_errors). Nothing else follows from an error. With FZR_RELAY_CHANNELS
 * clients are told of none: see fzr_engine_wants_peer_errors.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, or the peer has no family. Mend the call.
 */
FZR_API int fzr_engine_peer_error(fzr_engine *engine, const fzr_peer_error *error, fzr_time now);

/**
 * `fzr_engine_wants_peer_errors` tells whether clients are told of errors at all: whether an
 * adapter is to gather them. false of NULL. It stays as it is while the engine lives.
 */
FZR_API bool fzr_engine_wants_peer_errors(const fzr_engine *engine);

/** What the application has to do, or is told. */
enum fzr_event_type {
  /** Open a socket for `family` and `port`, then call fzr_engine_port_result. */
  FZR_EVENT_PORT_OPEN = 1,
  /**
   * Close it: `io` is its cookie. The port may be reused after the next call of
   * fzr_engine_next_event.
   */
  FZR_EVENT_PORT_CLOSE = 2,
  /** A channel began to relay. */
  FZR_EVENT_CHANNEL_BOUND = 3,
  /** It ended. */
  FZR_EVENT_CHANNEL_UNBOUND = 4
};

/**
 * The channel's peer is one of the relay's own addresses: an offload must leave it to the engine.
 */
#define FZR_EVENT_PEER_IS_OWN 0x01u

/**
 * The channel relays all the while, and is another one for an offload: its client has moved, or its
 * peer has become, or is no longer, one of the relay's own addresses. UNBOUND with this flag says
 * what it was, and BOUND with this flag follows and says what it is, behind the UNBOUND of all
 * others that changed at once. In between, packets of its peer come for the engine.
 */
#define FZR_EVENT_GOES_ON 0x02u

/** Something the application has to do. */
typedef struct fzr_event {
  /** PORT_CLOSE, CHANNEL_…: cookie of the allocation's socket of `family`. */
  void *io;
  /** An enum fzr_event_type. */
  uint16_t type;
  /** Relayed port. */
  uint16_t port;
  /** CHANNEL_…: its number. */
  uint16_t channel;
  /** An enum fzr_family of the relayed address. */
  uint8_t family;
  /** CHANNEL_…: FZR_EVENT_PEER_IS_OWN, FZR_EVENT_GOES_ON. */
  uint8_t flags;
  /** CHANNEL_…: that of its verdicts from the client; those from the peer have this plus one. */
  uint32_t flow;
  /** The library writes 0. */
  uint32_t reserved;
  /** CHANNEL_…: the client's address. */
  fzr_addr client;
  /** CHANNEL_…: the listen address the client talks to. */
  fzr_addr local;
  /** CHANNEL_…: the peer's address. */
  fzr_addr peer;
} fzr_event;

/**
 * `fzr_engine_next_event` takes the next event into |event|. Events are never lost and come in
 * order. BOUND comes before the bind's answer, if all events are taken first; UNBOUND before its
 * PORT_CLOSE, and before a new BOUND of the same key. |event| is the caller's.
 *
 * Returns true, or false when there is none, or a pointer is NULL.
 */
FZR_API bool fzr_engine_next_event(fzr_engine *engine, fzr_event *event);

/** An answer to send. */
typedef struct fzr_transmit {
  /** The engine's; valid until its next input (rx, on_deadline, port_result). */
  const uint8_t *data;
  /** Bytes of the answer. */
  uint16_t len;
  /** Who asked has proved nothing: others do not wait for this answer, and it may be dropped. */
  bool to_stranger;
  /** The library writes 0. */
  uint8_t reserved[5];
  /** The client that asked. */
  fzr_addr to;
  /** Local address and port the request came to. */
  fzr_addr from;
} fzr_transmit;

/**
 * `fzr_engine_next_transmit` takes the next answer into |transmit|, the caller's. Take the events
 * first, so that no client is told of a channel that an offload does not know yet.
 *
 * Returns true, or false when there is none, or a pointer is NULL.
 */
FZR_API bool fzr_engine_next_transmit(fzr_engine *engine, fzr_transmit *transmit);

/**
 * `fzr_engine_deadline` returns when fzr_engine_on_deadline wants to be called next, FZR_TIME_NEVER
 * if not at all, or of NULL. It may be early, never late by more than 150 ms. O(1).
 */
FZR_API fzr_time fzr_engine_deadline(const fzr_engine *engine);

/**
 * `fzr_engine_on_deadline` expires what is due at |now|, about |budget| items at most: data need
 * not wait for thousands of them. What is left keeps the deadline in the past. Returns how many
 * items it handled, or FZR_ERR_INVALID_ARGUMENT: |engine| is NULL.
 */
FZR_API int fzr_engine_on_deadline(fzr_engine *engine, size_t budget, fzr_time now);

/**
 * `fzr_engine_port_result` reports what became of an FZR_EVENT_PORT_OPEN. Either |error| is 0, and
 * |io| the socket's cookie: any value, which comes back in verdicts and events. Or |error| is a
 * negative number, and |io| is ignored. FZR_ERR_IO_IN_USE makes the engine try another port, up to
 * 64 of them; anything else ends in 508. Every open needs its result, also that of an allocation
 * which has ended meanwhile: its port is nobody else's until then.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, |family| is none, or |error| is positive.
 * - FZR_ERR_INVALID_STATE: no such open is pending. Close the socket, if one was opened.
 */
FZR_API int fzr_engine_port_result(fzr_engine *engine, uint16_t port, enum fzr_family family,
                                   int error, void *io, fzr_time now);

/**
 * `fzr_engine_set_wallclock` tells that it is |unix_seconds| at |now|; call it at the start and
 * every few minutes. It matters for credentials that expire, and for nothing else.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |unix_seconds| is negative. Mend the call.
 */
FZR_API int fzr_engine_set_wallclock(fzr_engine *engine, int64_t unix_seconds, fzr_time now);

/**
 * `fzr_engine_set_own_addrs` tells which addresses the host has now: the |count| at |addrs|, which
 * are copied, take the place of those that were told before. Those of the configuration stay, too.
 * Ports, scopes and transports are ignored; 0.0.0.0, :: and addresses of no family are passed over.
 *
 * On own addresses clients reach the ports of allocations, and nothing else. That holds for
 * channels and permissions that there are, too. Those that have to end do so within the next calls
 * of fzr_engine_on_deadline, which are due at once, channels with CHANNEL_UNBOUND. A channel that
 * may stay is told of anew, as one whose peer is own. fzr_udp does this by itself. O(|count|), and
 * O(channels and permissions) within on_deadline's budget.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |addrs| is and |count| is not 0. Mend the call.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_engine_set_own_addrs(fzr_engine *engine, const fzr_addr *addrs, size_t count);

/**
 * `fzr_engine_add_own_addrs` is the same for addresses that come to those which were told before.
 * O(|count|).
 *
 * Returns 0, or what fzr_engine_set_own_addrs returns, for the same reasons.
 */
FZR_API int fzr_engine_add_own_addrs(fzr_engine *engine, const fzr_addr *addrs, size_t count);

/**
 * `fzr_engine_add_listen_port` tells of a port that the relay listens on, beside the
 * configuration's `listen_port`. It is for listeners of UDP and DTLS only. No peer anywhere may
 * have that port, unless a rule of the peer policy allows this very port; on own addresses not even
 * then. For relays listen there, and between two that were each other's peers a datagram would go
 * round for ever. Channels that are bound end as above.
 *
 * A listener of TCP or TLS needs none of this, for relayed data is UDP. If its port is told all the
 * same, clients lose all peers on it, such as those on 443. fzr_udp does this by itself. Telling it
 * again changes nothing.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |port| is 0. Mend the call.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_engine_add_listen_port(fzr_engine *engine, uint16_t port);

/**
 * `fzr_engine_set_offered` says whether relayed addresses of |family| can be had at present; at
 * first those of all public addresses are. While they are not, Allocates that ask for that family
 * alone get 440 (Address Family not Supported, RFC 8656 section 7.2). Those that ask for both get
 * the other one. Allocations that live go on. fzr_udp does this by itself.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |family| is none. Mend the call.
 */
FZR_API int fzr_engine_set_offered(fzr_engine *engine, enum fzr_family family, bool offered);

/**
 * `fzr_engine_public_addr` writes the public address of |family|, as it was configured, to |out|,
 * the caller's. O(1).
 *
 * Returns whether there is one; false also if a pointer is NULL. If not, |out| is untouched.
 */
FZR_API bool fzr_engine_public_addr(const fzr_engine *engine, enum fzr_family family,
                                    fzr_addr *out);

/**
 * `fzr_engine_port_is_live` tells whether |port| is that of a live allocation with a relayed
 * address of |family|. It may be of another engine with the same fzr_shared. False of NULL. Any
 * thread. O(1).
 */
FZR_API bool fzr_engine_port_is_live(const fzr_engine *engine, uint16_t port,
                                     enum fzr_family family);

/**
 * `fzr_engine_set_draining` begins or ends draining: while |draining|, new Allocates get 508, or
 * 300 where the configuration names an alternate server, and all else goes on. NULL is fine. O(1).
 */
FZR_API void fzr_engine_set_draining(fzr_engine *engine, bool draining);

/**
 * `fzr_engine_set_alternates` takes these members of |config| over: alternate_ip4, alternate_ip6
 * and alternate_over. The others are not looked at, but for `size`. So a relay can name another one
 * as it begins to drain. Takes no memory. O(1). Each engine of an fzr_shared has to be told, on its
 * own thread. RFC 8489 section 10.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| or |config| is NULL, or `size` is too small. Mend the call.
 * - FZR_ERR_CONFIG_ADDRESS: an address is of the other family, or has port 0. Tell the operator.
 * - FZR_ERR_UNSUPPORTED: |config| is of a later release and sets what this one does not know.
 */
FZR_API int fzr_engine_set_alternates(fzr_engine *engine, const fzr_config *config);

/**
 * `fzr_engine_set_secrets` puts |secret| and |second| in place of the secrets of FZR_AUTH_STAMP or
 * FZR_AUTH_REST: `auth_secret` and `auth_second_secret` of the configuration. Both are
 * zero-terminated, 1 to 255 bytes, and copied. |second| may be NULL. To change a secret while
 * clients have credentials of the old one, give the new one as |secret| and the old one as
 * |second|. Later give the new one alone.
 *
 * Allocations live on. The credential that one was used with last stays good for it until its time
 * is over, of whichever secret it was made. Whoever must not wait for that ends the allocation by
 * fzr_engine_end_allocation. The credential is good for no new allocation, and beyond its time only
 * while its secret is one of both (allocations_outlive_credentials). A client may go on with the
 * password that another secret makes for the same username.
 *
 * Takes no memory. O(1). Each engine of an fzr_shared has to be told, on its own thread. RFC 8489
 * section 9.2.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| or |secret| is NULL. Mend the call.
 * - FZR_ERR_CONFIG_AUTH: a secret is empty or too long. Tell the operator.
 * - FZR_ERR_UNSUPPORTED: the engine has another scheme. Mend the call.
 */
FZR_API int fzr_engine_set_secrets(fzr_engine *engine, const char *secret, const char *second);

/**
 * `fzr_engine_set_users` puts the |count| users at |users| in place of those of FZR_AUTH_STATIC, or
 * of those beside FZR_AUTH_REST. All of it is copied. With none nobody can log in, but by a secret.
 *
 * Allocations live on, but each request is looked up anew. That of a user who is gone, or whose
 * password has changed, gets 401; his allocation ends when its lifetime is over. To end it at once,
 * see fzr_engine_user. O(n log n) in |count|; takes memory before it gives that of the old users
 * back. Each engine of an fzr_shared has to be told, on its own thread.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |users| is and |count| is not 0. Mend the call.
 * - FZR_ERR_CONFIG_AUTH: a name is empty, longer than 508 bytes, there twice, or, beside
 *   FZR_AUTH_REST, one of that scheme. Or it has an empty password, none and no key, or both. Tell
 *   the operator.
 * - FZR_ERR_NO_MEMORY: try again later.
 * - FZR_ERR_UNSUPPORTED: the engine has another scheme. Mend the call.
 */
FZR_API int fzr_engine_set_users(fzr_engine *engine, const fzr_user *users, size_t count);

/**
 * `fzr_engine_set_peer_rules` puts the |count| rules at |rules| in place of those that there are:
 * `peer_rules` of the configuration. They are copied. What the policy does without rules stays.
 *
 * All channels and permissions are judged anew, by the application's `peer_policy`, too. Those
 * whose peer may not be reached any more end within the next calls of fzr_engine_on_deadline, which
 * are due at once: channels with CHANNEL_UNBOUND and FZR_LOG_CHANNEL_REVOKED, permissions with
 * FZR_LOG_PERMISSION_REVOKED. Their numbers and peers are free then. O(|count|), and O(channels and
 * permissions) within the budget of fzr_engine_on_deadline; each judgement is O(rules). With rules
 * that name a port, each run of datagrams to or from a peer without a channel is judged, too. Each
 * engine of an fzr_shared has to be told, on its own thread.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL, or |rules| is and |count| is not 0. Mend the call.
 * - FZR_ERR_CONFIG_RULE: a rule's prefix does not fit its address, or it names a transport. Tell
 *   the operator.
 * - FZR_ERR_NO_MEMORY: try again later.
 */
FZR_API int fzr_engine_set_peer_rules(fzr_engine *engine, const fzr_peer_rule *rules, size_t count);

/**
 * `fzr_engine_set_limits` takes these members of |config| over, with 0 and FZR_UNLIMITED as they
 * are there: max_allocations_per_user, max_channels_per_allocation, max_channels,
 * max_permissions_per_allocation, max_bandwidth_per_allocation, unauthenticated_rate,
 * unauthenticated_burst, error_rate and integrity_rate. The others are not looked at, but for
 * `size`. So the caller keeps the fzr_config of fzr_engine_new and changes what he wants other.
 *
 * What there is more of than is allowed from now on stays; there will be no more of it. Allocations
 * that were made without a limit for their user are not counted for him. Rates begin anew:
 * everybody has what he may have at once. But who has used up the bandwidth of his allocation waits
 * as before, at most for as long as an empty bucket takes to fill. O(1). Takes memory for the
 * rates, some 200 kB, before it gives that of the old ones back. Each engine of an fzr_shared has
 * to be told, on its own thread.
 *
 * Returns 0, or, with nothing changed:
 * - FZR_ERR_INVALID_ARGUMENT: |engine| or |config| is NULL, or `size` is too small. Mend the call.
 * - FZR_ERR_NO_MEMORY: try again later.
 * - FZR_ERR_UNSUPPORTED: |config| is of a later release and sets what this one does not know.
 */
FZR_API int fzr_engine_set_limits(fzr_engine *engine, const fzr_config *config);

/**
 * `fzr_engine_set_log_level` makes |level| the last one that the configuration's `log` gets, from
 * now on. NULL is fine.
 */
FZR_API void fzr_engine_set_log_level(fzr_engine *engine, enum fzr_log_level level);

/**
 * `fzr_engine_list_channels` writes up to |max| channels that relay now to |out|, as
 * FZR_EVENT_CHANNEL_BOUND events. |cursor| starts at 0 and is moved on; the walk is over when it
 * returns 0. Channels that come or go between calls may or may not be listed: those whose `flow` is
 * less than twice |cursor| are not any more, all others will be if they are there by then.
 *
 * Returns how many were written; 0 also if a pointer is NULL.
 */
FZR_API size_t fzr_engine_list_channels(const fzr_engine *engine, uint32_t *cursor, fzr_event *out,
                                        size_t max);

/**
 * `fzr_engine_list_allocations` writes up to |max| allocations that live now, or are being opened,
 * to |out|, the caller's. |cursor| starts at 0 and is moved on; the walk is over when it returns 0.
 * What lives from the first call to the last is listed, and nothing twice. What comes or goes
 * meanwhile may or may not be listed. So a list of many can be made in pieces, between packets.
 * O(|max|), and a walk is O(allocations that there were at once, at most).
 *
 * Returns how many were written; 0 also if a pointer is NULL.
 */
FZR_API size_t fzr_engine_list_allocations(const fzr_engine *engine, uint32_t *cursor,
                                           fzr_allocation *out, size_t max);

/**
 * `fzr_engine_find_allocation` writes the allocation of the 5-tuple of |client| and |server| to
 * |out|, the caller's, if it lives or is being opened. An adapter on streams asks so whether a
 * connection is one of those that stay. O(1).
 *
 * Returns whether there is one; false also if a pointer is NULL. If not, |out| is untouched.
 */
FZR_API bool fzr_engine_find_allocation(const fzr_engine *engine, const fzr_addr *client,
                                        const fzr_addr *server, fzr_allocation *out);

/**
 * `fzr_engine_user` returns the number by which |engine| knows the user whom the |username_len|
 * bytes |username| name: of the schemes with an expiry, what follows it. It is the same as long as
 * the engine lives, and in one that goes on from it (fzr_engine_load); in others it is another one.
 * So all allocations of a user can be found in a list, and ended.
 * Returns 0 if a pointer is NULL.
 */
FZR_API uint64_t fzr_engine_user(const fzr_engine *engine, const uint8_t *username,
                                 size_t username_len);

/**
 * `fzr_engine_end_allocation` ends at |now| the allocation of the 5-tuple of |client| and |server|:
 * its channels relay no more, and its client gets 437. One that is being opened ends, too: its
 * Allocate gets no answer, and fzr_engine_port_result says FZR_ERR_INVALID_STATE.
 *
 * Take events after it, as after input: the CHANNEL_UNBOUND of its channels and its PORT_CLOSE come
 * then. A driver does so by itself, for fzr_engine_on_deadline is due at once. The log is told
 * (FZR_LOG_ALLOCATION_ENDED). The client may allocate anew: to keep a user out, change users,
 * secrets or what the callback says. O(its permissions), and O(its channels) while events are
 * taken. Takes no memory.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: this engine has no such allocation. Another one of the same fzr_shared
 *   may have it.
 */
FZR_API int fzr_engine_end_allocation(fzr_engine *engine, const fzr_addr *client,
                                      const fzr_addr *server, fzr_time now);

/**
 * `fzr_engine_end_allocation_by_id` is the same as fzr_engine_end_allocation for the allocation
 * with the |id| of fzr_allocation.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: this engine has no such allocation, or none any more. Another one of the
 *   same fzr_shared may have it.
 */
FZR_API int fzr_engine_end_allocation_by_id(fzr_engine *engine, uint64_t id, fzr_time now);

/**
 * `fzr_engine_end_user` ends at |now| up to |max| allocations of |user|, a number that
 * fzr_engine_user gives, in the way of fzr_engine_end_allocation. |cursor| starts at 0 and is moved
 * on; the walk is over when fewer than |max| have ended. What the user allocates meanwhile may or
 * may not end. O(allocations that there were at once, at most).
 *
 * Returns how many it has ended; 0 also if a pointer is NULL.
 */
FZR_API size_t fzr_engine_end_user(fzr_engine *engine, uint64_t user, uint32_t *cursor, size_t max,
                                   fzr_time now);

/**
 * `fzr_engine_add_offloaded` adds what an offload has relayed for the allocation at |port|, which
 * may be closing, to its figures: |packets| and their payload's |bytes|, [0] from the client to
 * peers, [1] to the client. fzr_stats does not have them. O(1).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: this engine has no allocation at that port.
 */
FZR_API int fzr_engine_add_offloaded(fzr_engine *engine, uint16_t port, const uint64_t packets[2],
                                     const uint64_t bytes[2]);

/**
 * `fzr_engine_end_allocation_at` is the same as fzr_engine_end_allocation for the allocation with
 * the relayed port |port|.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: |engine| is NULL. Mend the call.
 * - FZR_ERR_INVALID_STATE: this engine has no live allocation with that port.
 */
FZR_API int fzr_engine_end_allocation_at(fzr_engine *engine, uint16_t port, fzr_time now);

/**
 * How many classes fzr_stats.packet_sizes has: class i holds payloads up to (i + 1) * 100 bytes,
 * the last one the rest.
 */
#define FZR_SIZE_CLASSES 16

/** The first index of fzr_stats.responses: what the request asked for. */
enum fzr_stat_method {
  /** FZR_STUN_BINDING. */
  FZR_STAT_BINDING = 0,
  /** FZR_STUN_ALLOCATE. */
  FZR_STAT_ALLOCATE = 1,
  /** FZR_STUN_REFRESH. */
  FZR_STAT_REFRESH = 2,
  /** FZR_STUN_CHANNEL_BIND. */
  FZR_STAT_CHANNEL_BIND = 3,
  /** FZR_STUN_CREATE_PERMISSION. */
  FZR_STAT_CREATE_PERMISSION = 4,
  /** Any other method. */
  FZR_STAT_OTHER = 5,
  /** How many there are in this release. */
  FZR_STAT_METHODS = 6,
  /** How many there may be before the ABI changes. */
  FZR_STAT_METHOD_ROOM = 16
};

/**
 * How many values the second index of fzr_stats.responses has in this release: 0 is success, and
 * each error code has one. fzr_stat_code names them.
 */
#define FZR_STAT_CODES 17
/** How many there may be before the ABI changes. */
#define FZR_STAT_CODE_ROOM 32

/**
 * `fzr_stat_method_of` returns under which index of fzr_stats.responses answers to the STUN method
 * |method| are counted: FZR_STAT_OTHER for those that the engine does not know.
 */
FZR_API unsigned fzr_stat_method_of(unsigned method);

/**
 * `fzr_stat_method_name` returns the name of what index |index| of fzr_stats.responses counts:
 * "binding", "channelbind" and so on; "other" for FZR_STAT_OTHER and for no index. It is constant.
 */
FZR_API const char *fzr_stat_method_name(unsigned index);

/**
 * `fzr_stat_method_handler` returns what handling such a request is called in traces:
 * "handle_channel_bind_request" and so on; "handle_unknown_request" for FZR_STAT_OTHER and for no
 * index. It is constant.
 */
FZR_API const char *fzr_stat_method_handler(unsigned index);

/**
 * `fzr_stat_code` returns the STUN error code of index |index| of fzr_stats.responses: 0 for
 * success, or unused.
 */
FZR_API unsigned fzr_stat_code(unsigned index);

/** How many of enum fzr_transport there may be in fzr_stats before the ABI changes. */
#define FZR_TRANSPORT_ROOM 8

/** Counters since the engine was made, and gauges of now. The library writes them. */
typedef struct fzr_stats {
  /** An output: how many bytes of this struct were filled. */
  size_t size;
  /** Allocations that live now. */
  uint64_t allocations;
  /** Channels that relay now. */
  uint64_t channels;
  /** Allocations that were made. */
  uint64_t allocations_created;
  /** Allocations that have ended, for whatever reason. */
  uint64_t allocations_ended;
  /** Channels that were bound; refreshes are not counted. */
  uint64_t channels_bound;
  /** Bytes that are taken from fzr_mem now; those of `shared` only where it is the engine's own. */
  uint64_t memory_bytes;
  /** Datagrams that were relayed: [0] from clients to peers, [1] from peers to clients. */
  uint64_t packets[2];
  /** Payload bytes of those. */
  uint64_t bytes[2];
  /** The same datagrams by the size of their payload, both directions together. */
  uint64_t packet_sizes[FZR_SIZE_CLASSES];
  /** Datagrams that were dropped, by enum fzr_drop_reason; there is room for reasons to come. */
  uint64_t dropped[FZR_DROP_ROOM];
  /**
   * Answers, by enum fzr_stat_method, and by success or error code (fzr_stat_code). There is room
   * for both to come.
   */
  uint64_t responses[FZR_STAT_METHOD_ROOM][FZR_STAT_CODE_ROOM];
  /** Requests answered with 508: [0] for max_channels, [1] for want of memory. */
  uint64_t memory_refusals[2];
  /** Permissions that there are now, of FZR_RELAY_FULL. */
  uint64_t permissions;
  /** Permissions that were installed; refreshes are not counted. */
  uint64_t permissions_installed;
  /** Of `packets`: [0] came in Send indications, [1] left in Data indications. */
  uint64_t indications[2];
  /** How often allocations were moved to another 5-tuple: fzr_config.mobility. */
  uint64_t allocations_moved;
  /** Errors of fzr_engine_peer_error: [0] the client was told, [1] the others. */
  uint64_t peer_errors[2];
  /**
   * Of `allocations`: those whose client talks to the relay by each enum fzr_transport; there is
   * room for transports to come.
   */
  uint64_t allocations_by_transport[FZR_TRANSPORT_ROOM];
} fzr_stats;

/**
 * `fzr_engine_stats_sized` fills the |size| bytes at |stats|, whatever is in them. A caller that
 * was compiled with a shorter struct gets no more than that, one with a longer struct zeros for the
 * rest. O(1).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, or |size| is too small for the member `size`. Mend
 *   the call.
 */
FZR_API int fzr_engine_stats_sized(const fzr_engine *engine, fzr_stats *stats, size_t size);

/**
 * `fzr_engine_stats` fills |stats|, the caller's, whatever is in it. O(1).
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 */
static inline int fzr_engine_stats(const fzr_engine *engine, fzr_stats *stats)
{
  return fzr_engine_stats_sized(engine, stats, sizeof *stats);
}

#ifdef __cplusplus
}
#endif

#endif
