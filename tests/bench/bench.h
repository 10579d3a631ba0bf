/* SPDX-License-Identifier: Apache-2.0 */
/* fzr-bench: what its modes share. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "measure.h"
#include "session.h"

#include <signal.h>

enum direction { DIRECTION_UP = 1, DIRECTION_DOWN = 2, DIRECTION_BOTH = 3 };

typedef struct bench {
  const char *mode;
  fzr_addr server;
  uint8_t transport;  /* of clients: FZR_TRANSPORT_… */
  fzr_addr peer_host; /* where the generator's own peers are */
  credential credential;
  const char *user, *rest_secret; /* as the options have them; NULL: not given */
  bool has_credential;
  unsigned clients;
  enum direction direction;
  uint32_t size;    /* payload bytes */
  uint64_t packets; /* in all, each direction; 0: until the time is over */
  double seconds;
  uint64_t rate;   /* packets a second in all; 0: windowed */
  unsigned window; /* in flight in all */
  bool gso;
  bool relay_ipv6, relay_both;
  bool floor;   /* the server is the bare forwarder */
  bool channel; /* allocate: bind one each */
  bool hold;    /* allocate: until a signal */
  bool
      indications; /* relay: Send and Data in place of ChannelData; allocate: with channel, a permission in place of it */
  int pid;           /* of the server; 0: not measured */
  const char *usage; /* a file that has the bytes of all its memory, the kernel's included; NULL: none */
  bool in_steps;     /* hold the server while a window is sent */
  bool json;
} bench;

/* Set by SIGINT and SIGTERM: give back what is allocated, and finish. A second signal ends it at once. */
extern volatile sig_atomic_t bench_stop;

/* Brings |n| sessions to an allocation, at most |window| at a time; with |peers| (one each) each has a channel to
 * its peer, or with --indications a permission. Returns how many made it. */
unsigned bench_allocate(const bench *b, session *sessions, unsigned n, unsigned window,
                        const fzr_addr *peers);
/* Says on standard error why the first of them failed that did, and what helps. */
void bench_explain(const bench *b, const session *sessions, unsigned n);
/* Ends their allocations, also those of sessions that failed, and closes them. A signal does not stop it. */
void bench_release(const bench *b, session *sessions, unsigned n);

/* The modes. Each prints its result and returns the exit status. */
int bench_relay(const bench *b);
int bench_binding(const bench *b);
int bench_allocations(const bench *b);
int bench_refreshes(const bench *b);
int bench_handshakes(const bench *b);

/* One line of a result: name, value, unit; in JSON a member. */
void result_begin(const bench *b);
void result(const bench *b, const char *name, double value, const char *unit);
void result_end(const bench *b);

#endif
