/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the machine share: machine.c leads from step to step, steps.c has what begins and ends each. */
#ifndef PROBE_INTERNAL_H
#define PROBE_INTERNAL_H

#include "data.h"
#include "exchange.h"
#include "machine.h"

/* Channels of the first client: to the peer, and to the second client; and of that one to the first. */
#define PROBE_CHANNEL_PEER   0x4000u
#define PROBE_CHANNEL_SECOND 0x4001u
#define PROBE_CHANNEL_FIRST  0x4000u

#define PROBE_CLIENTS 2u

struct probe_machine {
  probe_plan plan;
  probe_ops ops;
  probe_facts facts;
  enum probe_step step;
  fzr_time now, step_began, end; /* |end|: of all of it */
  fzr_time open_until;           /* FZR_TIME_NEVER: no flow is being opened */
  probe_exchange exchange;
  probe_client clients[PROBE_CLIENTS];
  probe_data data;
  fzr_addr peer_local, peer; /* the peer's socket, and as the world sees it */
  enum probe_login_kind tried;
  unsigned stale;     /* 438s */
  bool icmp, garbage; /* what came in place of an answer */
  enum probe_failure icmp_why;
  bool peer_refused; /* 403, of the peer that is no client */
  bool at_relay;     /* that peer has an address of the relay, so it was not tried */
  bool indicated;    /* a Send indication of the first client has come to the second */
  bool lacks_family;
  const char *note;
  enum probe_fault fault, pending; /* |pending|: the fault that PROBE_STEP_OTHER looks further into */
  bool done;
};

/* A row of the table of steps. */
typedef struct probe_step_spec {
  const char *name;
  enum probe_flow flow; /* that it is about */
  void (*begin)(probe_machine *m);
  void (*opened)(probe_machine *m);                            /* NULL: it opens none */
  void (*answered)(probe_machine *m, const fzr_stun_msg *msg); /* NULL: it asks nothing */
  void (*over)(probe_machine *m);                              /* no answer has come, or data is over */
} probe_step_spec;

extern const probe_step_spec probe_steps[PROBE_STEPS];

/* machine.c: goes on with |step|, after a row about the one that is over. |format| is of printf. */
void probe_say(probe_machine *m, enum probe_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void probe_go(probe_machine *m, enum probe_step step);
/* Ends it all. */
void probe_fail(probe_machine *m, enum probe_fault fault);
void probe_finish(probe_machine *m);
/* Sends what was built in m->exchange, for |len| bytes, as the request of this step, and waits for an answer. */
void probe_ask(probe_machine *m, size_t len, fzr_time patience);
void probe_open(probe_machine *m, probe_transport transport);
/* What says that there was no answer. */
enum probe_fault probe_silence(const probe_machine *m);

/* steps.c: sends what is missing of the data of this step. */
void probe_send_round(probe_machine *m);
/* Gives back the allocations that there are, without waiting for an answer. */
void probe_give_back(probe_machine *m);

/* login.c: how an allocation is asked for. |c|: which client. */
void probe_ask_allocation(probe_machine *m, unsigned c);
void probe_challenged(probe_machine *m, const fzr_stun_msg *msg);
void probe_allocated(probe_machine *m, const fzr_stun_msg *msg);
void probe_second_allocated(probe_machine *m, const fzr_stun_msg *msg);

/* Of a request of client |c| that has to be signed: takes a 438, which has it sent again, and what is not signed, which counts for nothing.
 * Returns whether |msg| is to be looked at. */
bool probe_is_answer(probe_machine *m, unsigned c, const fzr_stun_msg *msg, void (*again)(probe_machine *m));
/* Ends it by the error that |msg| has. */
void probe_refuse(probe_machine *m, const fzr_stun_msg *msg);

/* |addr| as text, in one of a few buffers. */
const char *probe_addr_text(const fzr_addr *addr, bool with_port, char out[FZR_ADDR_TEXT_MAX]);

#endif
