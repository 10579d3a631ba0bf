/* SPDX-License-Identifier: Apache-2.0 */
/* The steps by which a relay is probed, over one way to it and for one family of relayed addresses. It is told what happens and what time it
 * is, and says what is to be sent: no IO, no clock. Nothing that comes is believed, and all of it ends: 9 s after it began at the latest. */
#ifndef PROBE_MACHINE_H
#define PROBE_MACHINE_H

#include "client.h"
#include "facts.h"

#define PROBE_WHOLE_PATIENCE (9 * FZR_SECOND)

/* The sockets: of two clients, of a peer that is none, and of a look at another transport. */
enum probe_flow { PROBE_FLOW_A, PROBE_FLOW_B, PROBE_FLOW_PEER, PROBE_FLOW_OTHER, PROBE_FLOWS };

enum probe_step {
  PROBE_STEP_CONNECT,
  PROBE_STEP_BINDING,
  PROBE_STEP_CHALLENGE,
  PROBE_STEP_ALLOCATE,
  PROBE_STEP_PEER,
  PROBE_STEP_PEER_CHANNEL,
  PROBE_STEP_DIRECT,
  PROBE_STEP_SECOND_CONNECT,
  PROBE_STEP_SECOND,
  PROBE_STEP_PERMISSION,
  PROBE_STEP_CHANNEL,
  PROBE_STEP_CHANNEL_BACK,
  PROBE_STEP_RELAYED,
  PROBE_STEP_END,
  PROBE_STEP_END_SECOND,
  PROBE_STEP_OTHER, /* after a failure alone */
  PROBE_STEPS
};

/* What became of a step. */
enum probe_mark { PROBE_OK, PROBE_FAILED, PROBE_SKIPPED, PROBE_NOTED };

/* Why a flow is of no use, or may be of none. */
enum probe_failure {
  PROBE_FAILURE_REFUSED,     /* a reset, or an ICMP error: nothing listens */
  PROBE_FAILURE_UNREACHABLE, /* no way there, or an ICMP error that says so */
  PROBE_FAILURE_ENDED,       /* the other end has closed the connection */
  PROBE_FAILURE_NOT_STUN,    /* what comes is something else */
  PROBE_FAILURE_TLS,
  PROBE_FAILURE_CUT, /* the connection ended within the handshake of TLS, without an alert */
  PROBE_FAILURE_OWN  /* this host has no socket for it */
};

/* Where the way leads, and what for. It is copied. */
typedef struct probe_plan {
  fzr_addr server;
  probe_transport transport;
  fzr_addr
      server_of_peer; /* where a UDP socket of the relayed address's family can ask for its own address; family NONE: nowhere */
  enum fzr_family relayed; /* which family the relayed address is to be of */
  bool stun_only;
  bool is_made;      /* the credentials are made of a secret: there are others of it */
  char other[8];     /* the other --auth in which they can be made */
  char realm[128];   /* that is expected; "": any */
  uint64_t unix_now; /* seconds */
} probe_plan;

/* What the machine has done. All get |ctx|. None may call the machine. */
typedef struct probe_ops {
  void *ctx;
  /* Makes the socket |flow| to |to| over |transport|. One over UDP sends to others, too, from the address that leads there. Then
   * probe_machine_opened or probe_machine_failed is due, later. */
  void (*open)(void *ctx, enum probe_flow flow, probe_transport transport, const fzr_addr *to);
  /* Sends the |len| bytes at |data|, a message, to where |flow| leads, or to |to|, if that is not NULL. What can't be sent is lost. */
  void (*send)(void *ctx, enum probe_flow flow, const fzr_addr *to, const uint8_t *data, size_t len);
  void (*random)(void *ctx, uint8_t *out, size_t len);
  /* Credentials of |kind| into |out|. Returns whether there are such. */
  bool (*login)(void *ctx, enum probe_login_kind kind, probe_login *out);
  /* Tells of a step that is over: what it is called, a text of one line, and how long it took. */
  void (*row)(void *ctx, enum probe_mark mark, const char *step, const char *text, fzr_time took);
} probe_ops;

typedef struct probe_machine probe_machine;

/* NULL without memory. |ops| is copied. */
probe_machine *probe_machine_new(const probe_plan *plan, const probe_ops *ops);
/* Wipes it. NULL is fine. */
void probe_machine_free(probe_machine *m);

void probe_machine_start(probe_machine *m, fzr_time now);

/* |flow| can be used, from |local|. */
void probe_machine_opened(probe_machine *m, enum probe_flow flow, const fzr_addr *local, fzr_time now);
/* |flow| has failed; |text| says how. */
void probe_machine_failed(probe_machine *m, enum probe_flow flow, enum probe_failure why, const char *text,
                          fzr_time now);
/* |len| bytes, a datagram or a message of a stream, came to |flow| from |from|. */
void probe_machine_message(probe_machine *m, enum probe_flow flow, const fzr_addr *from, const uint8_t *data,
                           size_t len, fzr_time now);

/* When probe_machine_tick has to be called, at the latest. */
fzr_time probe_machine_deadline(const probe_machine *m);
void probe_machine_tick(probe_machine *m, fzr_time now);

bool probe_machine_is_done(const probe_machine *m);

/* Then: what is wrong, and what was found out. */
enum probe_fault probe_machine_fault(const probe_machine *m);
const probe_facts *probe_machine_facts(const probe_machine *m);
/* Whether the relay has no address of that family, which is nothing wrong. */
bool probe_machine_lacks_family(const probe_machine *m);
/* What was not looked at though nothing is wrong: a part of a sentence; NULL: all was. */
const char *probe_machine_note(const probe_machine *m);

#endif
