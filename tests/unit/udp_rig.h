/* SPDX-License-Identifier: Apache-2.0 */
/* A relay on the UDP adapter, with real sockets on loopback: a client with a channel to a peer, more of them where asked for, and a
 * kernel whose answers to sends are scripted where that matters. Wants --wrap of sendmmsg, sendmsg and sendto. */
#ifndef TESTS_UDP_RIG_H
#define TESTS_UDP_RIG_H

#include "relay.h"

#include "firezone_relay/udp.h"

#define RIG_WATCHED 32

typedef struct rig_host {
  int fds[RIG_WATCHED]; /* of UDP: the listen sockets, then those of allocations */
  unsigned events[RIG_WATCHED];
  void *tokens[RIG_WATCHED];
  unsigned count;
  int addrs_fd; /* tells of the host's addresses; 0: none */
  void *addrs_token;
  bool refuse;         /* to watch one more */
  bool refuse_changes; /* to watch for something else */
  unsigned refused;    /* changes so far */
  bool singly;         /* each descriptor by itself, instead of all that are ready at once */
} rig_host;

typedef struct udp_rig {
  fzt_relay relay;
  rig_host host;
  fzr_udp *udp;
  fzt_client_state client;
  int client_fd, peer_fd;
  fzr_addr listen, peer, relayed;
  bool ipv6;
} udp_rig;

/* Another client of the same relay, and its peer. */
typedef struct rig_client {
  int client_fd, peer_fd;
  fzr_addr peer, relayed;
} rig_client;

extern udp_rig rig;
extern int rig_blocked_fd;              /* this socket is full; -1: none */
extern const char *rig_own_host;        /* where IPv4 sockets are bound */
extern uint32_t rig_budget;             /* of what is started next; 0: the default */
extern enum fzr_family rig_only_family; /* of the next adapter; NONE: both */
extern uint8_t rig_relay_mode;          /* of the next engine, enum fzr_relay_mode */
/* `direct` of the next adapter; NULL: none. */
extern int (*rig_direct)(void *ctx, const fzr_addr *at, bool begins);
extern unsigned rig_most_segments; /* of a message so far */

/* What the next sends do: > 0 takes that many messages, < 0 fails with -errno, 0 is as the kernel likes. */
void rig_script(const int *steps, unsigned n);
#define SCRIPT(...) rig_script((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
/* How many steps have not been taken. */
unsigned rig_script_left(void);

void rig_start(bool ipv6, bool no_gso, bool wildcard);
void rig_stop(void);
fzr_udp_stats rig_stats(void);
int rig_watch(void *ctx, int fd, unsigned events, void *token, void **slot);
void rig_unwatch(void *ctx, int fd, void *slot);
/* Serves whatever is ready until nothing is. */
void rig_serve(rig_host *h, fzr_udp *udp, fzr_time now);
/* Sends a request of the client and reads the answer; returns its error code. */
int rig_ask(uint16_t method, void (*add)(fzr_stun_builder *), fzr_stun_msg *msg);
void rig_add_transport(fzr_stun_builder *b);
/* A second client, with a channel to a peer of its own. */
rig_client rig_add_client(void);
/* The client's address. */
fzr_addr rig_client_addr(void);
/* The socket of the first allocation. */
int rig_relay_fd(void);

void rig_send(int fd, const fzr_addr *to, const void *data, size_t len);
/* Sends |n| datagrams of |seg| bytes, the last of |tail|, in one GSO message. */
void rig_send_run(int fd, const fzr_addr *to, const uint8_t *data, uint16_t seg, unsigned n, uint16_t tail);
/* Writes payload number |i|: its bytes follow from the number. Returns |len|. */
size_t rig_payload(unsigned i, size_t len, uint8_t *out);
/* Reads payload number |i|, with a ChannelData header or without. */
void rig_expect(int fd, unsigned i, size_t len, bool with_header);
void rig_expect_nothing(int fd);
/* RIG_MIXED numbered datagrams of the client, of lengths that make several runs; and that the peer has got them, and no more. */
#define RIG_MIXED 16
extern const uint16_t rig_mixed[RIG_MIXED];
void rig_send_mixed(unsigned from);
void rig_expect_mixed(unsigned from);

#endif
