/* SPDX-License-Identifier: Apache-2.0 */
/* What was found out of a relay, and what is wrong with it: a word, a sentence and an exit status each. */
#ifndef PROBE_FACTS_H
#define PROBE_FACTS_H

#include "target.h"

#include "firezone_relay/types.h"

#include <stddef.h>

/* Datagrams of each of these lengths have to come through: a packet of a call, which is the most that WebRTC makes, and a short one. */
#define PROBE_SIZES       2u
#define PROBE_SMALL       1u /* bits of facts.seen */
#define PROBE_LARGE       2u
#define PROBE_LARGE_BYTES 1200u

/* Which way data goes: between the relay and a peer that is no client of it, and between two of its clients. */
enum probe_way { PROBE_OUT, PROBE_IN, PROBE_THERE, PROBE_BACK, PROBE_WAYS };

enum probe_fault {
  PROBE_WORKS,
  PROBE_NO_NAME,
  PROBE_NO_ROUTE,
  PROBE_NOTHING_LISTENS,
  PROBE_NO_ANSWER,
  PROBE_ANSWERS_STOP,
  PROBE_ELSEWHERE,
  PROBE_NOT_STUN,
  PROBE_NO_TLS,
  PROBE_NO_TURN,
  PROBE_LOGIN,
  PROBE_EXPIRED,
  PROBE_CLOCK,
  PROBE_SCHEME,
  PROBE_REALM,
  PROBE_STALE,
  PROBE_UNSIGNED,
  PROBE_FULL,
  PROBE_PEERS,
  PROBE_SENT_ON,
  PROBE_REFUSES,
  PROBE_ADDRESS,
  PROBE_SOURCE,
  PROBE_RANGE,
  PROBE_RANGE_OUT,
  PROBE_HAIRPIN,
  PROBE_MTU,
  PROBE_NAT,
  PROBE_OWN,
  PROBE_FAULTS
};

/* Exit statuses, a kind of fault each; 1 and 2 are the program's. */
enum { PROBE_EXIT_REACH = 3, PROBE_EXIT_LOGIN = 4, PROBE_EXIT_REFUSED = 5, PROBE_EXIT_DATA = 6 };

#define PROBE_TEXT_MAX 512u

typedef struct probe_facts {
  probe_transport transport;
  fzr_addr server;
  fzr_addr local, mapped; /* of the first client's socket, and as the relay sees it; family NONE: not known */
  fzr_addr relayed;
  fzr_addr from;             /* where data or an answer came from, instead of where it should have */
  fzr_addr peer;             /* whom the relay was to reach, and would not */
  unsigned code;             /* of the relay's refusal; 0: none */
  const char *doing;         /* what was refused, or got no answer: the name of a step */
  char realm[128];           /* the relay's; what can't be shown is replaced */
  char wanted[128];          /* the realm that was expected, if that is another one; "" */
  char text[PROBE_TEXT_MAX]; /* what TLS or the system says */
  uint64_t expiry;           /* in the username, unix seconds; 0: none */
  bool is_made;              /* the credentials were made of a secret */
  bool other_works;          /* another transport at the same port */
  bool answers_are_unsigned;
  bool direct;               /* a peer that is no client was tried */
  bool second;               /* a second client was tried */
  bool alone;                /* the user may have one allocation, and that one is still counted for a while */
  bool cut;                  /* TLS: the connection ended within the handshake, without an alert */
  bool unreachable;          /* an ICMP error came from the way to the relayed address */
  unsigned seen[PROBE_WAYS]; /* PROBE_SMALL, PROBE_LARGE */
} probe_facts;

/* What is wrong with the data that came through, or PROBE_WORKS. Of the direct way, and of that between two clients. */
enum probe_fault probe_judge_direct(const probe_facts *f);
enum probe_fault probe_judge_second(const probe_facts *f);
/* What is wrong with the relayed address by itself, or PROBE_WORKS. */
enum probe_fault probe_judge_address(const probe_facts *f);

/* Whether everybody on the internet could have |addr|. */
bool probe_addr_is_public(const fzr_addr *addr);
bool probe_addr_is_loopback(const fzr_addr *addr);
bool probe_addr_same_ip(const fzr_addr *a, const fzr_addr *b);

/* The word for |fault|, by which scripts know it, and the exit status. */
const char *probe_fault_word(enum probe_fault fault);
int probe_fault_status(enum probe_fault fault);

/* What it is, and what to do: one line without its end, into the |cap| bytes at |out|. */
void probe_fault_say(enum probe_fault fault, const probe_facts *f, char *out, size_t cap);

#endif
