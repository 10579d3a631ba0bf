/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: building them in the ring, and telling counters and log of each. */
#ifndef FZRI_ANSWER_H
#define FZRI_ANSWER_H

#include "request.h"

/* An answer that is being built. */
typedef struct fzri_reply {
  fzr_stun_builder builder;
  fzri_answer *slot; /* NULL: the ring is full; what is built goes nowhere */
  uint8_t scratch[FZRI_ANSWER_MAX];
} fzri_reply;

static inline bool fzri_answers_full(const fzr_engine *e)
{
  return e->answer_tail - e->answer_head == e->answer_cap;
}

/* Begins an answer of |cls| to a request of |method| and |txid| that came from |to| to |from|. */
void fzri_reply_begin(fzr_engine *e, fzri_reply *reply, uint16_t method, enum fzr_stun_class cls,
                      const uint8_t *txid);

/* Completes it: signed as |signing| says, FINGERPRINT if asked for; counts |code| (0: success) for
 * |stat|, an enum fzr_stat_method, and puts it in the ring for |to|, from the local address |from|. For a client's; otherwise slot->to_stranger is to be set. */
void fzri_reply_send(fzr_engine *e, fzri_reply *reply, unsigned stat, unsigned code, fzri_signing signing,
                     bool fingerprint, const fzr_addr *to, const fzr_addr *from);

/* How an answer to |r|, which is verified, is signed. */
fzri_signing fzri_answer_signing(const fzri_request *r);

/* Answers |r| with success and what was added to |reply|, and with SOFTWARE, where there is room for that. */
void fzri_answer_success(fzr_engine *e, const fzri_request *r, fzri_reply *reply);
/* Begins a success for |r|; more attributes may follow before fzri_answer_success completes it. */
void fzri_answer_begin(fzr_engine *e, const fzri_request *r, fzri_reply *reply);

/* Answers |r| with the error |code| and what belongs to it (REALM, NONCE and what is offered for 401 and 438, ALTERNATE-SERVER for 300,
 * which there has to be one for), and logs the refusal. All errors keep to the limits: r->dropped says that it was not answered. */
void fzri_answer_error(fzr_engine *e, fzri_request *r, unsigned code);
/* The same, with UNKNOWN-ATTRIBUTES of the |n| types. */
void fzri_answer_unknown(fzr_engine *e, fzri_request *r, const uint16_t *types, size_t n);
/* The same, with those that were not understood when |r| was read. */
void fzri_answer_not_understood(fzr_engine *e, fzri_request *r);
/* Answers a CHANNEL_BIND or CREATE_PERMISSION that named a peer (r->peer) out of bounds with 403, and logs why. */
void fzri_answer_forbidden(fzr_engine *e, fzri_request *r, const fzri_peer_judgement *judged);

/* The answer to the Allocate that made |a|: |code| 0 is success, else the error, signed as |signing| says;
 * |fingerprint| says whether it wants one. */
void fzri_answer_allocate(fzr_engine *e, const fzri_allocation *a, unsigned code, fzri_signing signing,
                          bool fingerprint);

/* |r| gets 508 for want of memory: counts that, and tells the log. |error|: FZR_ERR_NO_CHANNEL or FZR_ERR_NO_MEMORY. */
void fzri_note_memory(fzr_engine *e, const fzri_request *r, int error);

/* The same. Returns 508. |no_channel|: there are as many channels and permissions as there may be; else memory is short. */
unsigned fzri_refuse_for_memory(fzr_engine *e, fzri_request *r, bool no_channel);

/* Puts what was begun into the ring as it is, and counts nothing: for what is no answer, but goes to a client. Returns whether there was
 * room for it. */
bool fzri_reply_put(fzr_engine *e, fzri_reply *reply, const fzr_addr *to, const fzr_addr *from);

#endif
