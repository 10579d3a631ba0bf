/* SPDX-License-Identifier: Apache-2.0 */
/* One request from a client: what is known of it, and what handlers share. */
#ifndef FZRI_REQUEST_H
#define FZRI_REQUEST_H

#include "reach.h"
#include "state.h"

/* What the relay does about a method: a row of the table in dispatch.c. */
typedef struct fzri_method {
  uint16_t number;    /* of STUN */
  uint8_t stat;       /* enum fzr_stat_method */
  bool authenticated; /* the handler gets none but authenticated requests */
  bool names_peers;
  void (*handle)(fzr_engine *e, fzri_request *r); /* NULL: 400 */
  const char *name;
  const char *handler; /* its name, for traces */
} fzri_method;

/* What the MOBILITY-TICKET of a Refresh is worth; see mobility.h. */
enum fzri_ticket_kind {
  FZRI_TICKET_NONE = 0, /* there is none, or nobody has looked */
  FZRI_TICKET_BAD = 1,  /* none of ours */
  FZRI_TICKET_OVER = 2, /* of an allocation that is no more, or the 5-tuple has another one */
  FZRI_TICKET_HERE = 3, /* the newest of the allocation of this 5-tuple */
  FZRI_TICKET_USED = 4, /* an older one of that: it may be what brought it here */
  FZRI_TICKET_MOVES = 5 /* any of an allocation that is to move here */
};

/* Bits: by which HMAC a message is signed, MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256. */
#define FZRI_BY_SHA1   0x1u
#define FZRI_BY_SHA256 0x2u

/* How an answer is signed. */
typedef struct fzri_signing {
  const uint8_t *key;
  uint8_t key_len;
  uint8_t by; /* FZRI_BY_…; 0: not at all */
} fzri_signing;

struct fzri_request {
  fzr_stun_msg msg;
  const fzri_method *method;
  const fzr_addr *from;
  const fzr_addr *to;
  fzri_allocation *allocation; /* of this 5-tuple, or NULL; may be opening */
  fzr_stun_attr username;      /* .value NULL: none */
  fzr_stun_attr software;      /* .value NULL: none */
  const fzr_addr *peer;        /* that it names, once that has been read; for the log */
  uint16_t channel;            /* likewise */
  uint8_t credential_tag[16];  /* keyed hash of the username, once it was looked at */
  uint64_t user;               /* keyed hash of whom it names, if verified */
  fzr_auth_key credential;     /* of the username, if verified */
  uint8_t algorithm;           /* enum fzr_password_algorithm of its key */
  uint8_t by;                  /* FZRI_BY_…: what it is signed with, as far as that is looked at */
  uint8_t answer_by;           /* and what its answer is to be, if verified */
  bool of_allocation;          /* it has the credential that `allocation` was used with last */
  bool reached;                /* the sender has a nonce of ours: the source address is not forged */
  bool verified;               /* MESSAGE-INTEGRITY is that of the username's key */
  bool authenticated;
  uint8_t ticket;     /* enum fzri_ticket_kind */
  bool paid;          /* limits.h: the error has been paid for */
  uint8_t refusal;    /* enum fzr_refusal, for the log */
  uint16_t attribute; /* that this is about */
  int lack;           /* or an enum fzr_error */
  enum fzr_drop_reason
      dropped; /* why there is no answer; FZR_DROP_NONE: there is one, or there will be, or rightly not */
};

/* Moves on to the next attribute of |r|, as far as it is signed: what stands behind that means nothing (RFC 8489 sections 14.5 and 14.6).
 * |offset| begins at 0. Returns whether there was one. */
static inline bool fzri_request_next(const fzri_request *r, uint16_t *offset, fzr_stun_attr *attr)
{
  return fzr_stun_next(&r->msg, offset, attr) && attr->type != FZR_ATTR_MESSAGE_INTEGRITY &&
         attr->type != FZR_ATTR_MESSAGE_INTEGRITY_SHA256;
}

/* |code|, once |r| has been told why. */
static inline unsigned fzri_refuse(fzri_request *r, unsigned code, enum fzr_refusal why)
{
  r->refusal = (uint8_t)why;
  return code;
}

/* 508, for want of what |error|, an enum fzr_error, says. */
static inline unsigned fzri_refuse_for_lack(fzri_request *r, int error)
{
  r->lack = error;
  return fzri_refuse(r, 508, FZR_REFUSAL_LACK);
}

/* 400, because the attribute |type| is not there, or not as it has to be. */
static inline unsigned fzri_refuse_attribute(fzri_request *r, uint16_t type)
{
  r->attribute = type;
  return fzri_refuse(r, 400, fzr_stun_has(&r->msg, type) ? FZR_REFUSAL_VALUE : FZR_REFUSAL_MISSING);
}

/* The live allocation that |r| is about, if the credential may use it; else NULL, and 437 or 441 was answered, or nothing while it waits
 * for its sockets after it was loaded. */
fzri_allocation *fzri_request_allocation(fzr_engine *e, fzri_request *r);

/* |r| is found valid: |a| is its user's from now on, whose other allocation that may end. Not before, so that a request that is refused
 * changes nothing. */
void fzri_request_succeeds(fzr_engine *e, const fzri_request *r, fzri_allocation *a);

/* Makes the credential of |r| the one that |a| was used with last. */
void fzri_request_keep_credential(fzr_engine *e, const fzri_request *r, fzri_allocation *a);

/* Reads the LIFETIME that |r| asks for. Returns 0 with the seconds to grant, at most what may be granted, in full mode at least the default
 * (RFC 8656 section 7.2), and 0 if that was asked for; or 400. */
unsigned fzri_request_lifetime(const fzr_engine *e, fzri_request *r, uint32_t *lifetime);

/* Who the user of an authenticated request is, whom fzr_shared knows by this: where a newer allocation replaces the older, one for each
 * transport that his client uses. Never 0. */
uint64_t fzri_request_user(const fzr_engine *e, const fzri_request *r);

#endif
