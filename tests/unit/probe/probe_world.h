/* SPDX-License-Identifier: Apache-2.0 */
/* A relay and a network that are made up, in virtual time: what the probe's machine sends arrives 10 ms later, and so does what comes back. */
#ifndef FZT_PROBE_WORLD_H
#define FZT_PROBE_WORLD_H

#include "probe/machine.h"

#define WORLD_EVENTS 256
#define WORLD_ROWS   64

enum world_kind { WORLD_OPENED, WORLD_FAILED, WORLD_REQUEST, WORLD_MESSAGE };

typedef struct world_event {
  fzr_time at;
  enum world_kind kind;
  enum probe_flow flow;
  enum probe_failure why;
  fzr_addr from, to;
  size_t len;
  uint8_t data[1500];
} world_event;

typedef struct world {
  /* ---- what is wrong ---- */
  unsigned lost_transports;    /* a bit of each probe_transport: nothing gets an answer */
  unsigned refused_transports; /* likewise: nothing listens */
  const char *open_text;       /* how opening fails, if |open_fails| */
  bool open_fails;
  enum probe_failure open_why;
  unsigned silent_method; /* that gets no answer; 0: none */
  unsigned bad_method;    /* that gets |bad_code|, once logged in, of the flow |bad_flow| */
  enum probe_flow bad_flow;
  unsigned bad_code;   /* 0: an error without ERROR-CODE */
  unsigned first_code; /* what an Allocate without a login gets instead of 401; 0: 401 */
  bool no_realm;       /* the 401 has none */
  bool open_to_all;
  unsigned logins;     /* a bit of each probe_login_kind: right */
  unsigned has_logins; /* likewise: there is one */
  unsigned stale;      /* how many logins get 438 */
  unsigned lost_ways;  /* a bit of each probe_way: data is lost */
  unsigned lost_large; /* likewise: that of 1200 bytes */
  bool unsigned_answers, other_key;
  bool in_indications; /* data comes to clients in indications */
  bool no_indications; /* of clients, they are lost */
  bool moves_source;   /* to the peer, data comes from another port */
  bool moves_client;   /* a NAT gives another port for each request */
  bool answers_from_elsewhere;
  bool no_udp_binding; /* the peer gets no answer to Binding */
  fzr_time latency;    /* one way; 0: 10 ms */
  const char *local;   /* this host's address; NULL: 198.51.100.4 */
  const char *relayed; /* NULL: 203.0.113.7 */
  /* ---- how it goes ---- */
  probe_machine *m;
  fzr_time now;
  world_event events[WORLD_EVENTS];
  size_t event_count;
  unsigned sent, opened, requests;
  unsigned allocations; /* that there are, a bit of each flow */
  uint64_t random;
  uint16_t port;
  enum probe_login_kind kinds[PROBE_FLOWS]; /* by which each flow has logged in last */
  char rows[WORLD_ROWS][64];                /* "mark step" */
  size_t row_count;
  enum probe_fault fault;
  probe_facts facts;
  bool lacks_family;
  const char *note;
  fzr_time took;
} world;

/* What works. */
void world_init(world *w);
probe_plan world_plan(probe_transport transport);

/* Runs the machine until it is done; the results are in |w|. */
void world_run(world *w, const probe_plan *plan);

#endif
