/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that behave as real ones do, in the points where a relay can end their calls: when they ask, what they take for an answer, and
 * what they make of errors. They do no IO and read no clock, so that they live through a day in the simulation and through an hour
 * against the program. Peers are reached by channels alone. */
#ifndef FZT_MIMIC_H
#define FZT_MIMIC_H

#include <firezone_relay/firezone_relay.h>

#include "prng.h"

#define MIMIC_CHANNELS 2

enum mimic_kind {
  MIMIC_SNOWNET,   /* Firezone's client library, August 2026 */
  MIMIC_PION,      /* pion/turn 5.1 */
  MIMIC_ICE4J,     /* 3.2 */
  MIMIC_WEBRTC_RS, /* 0.21 */
  MIMIC_LIBJUICE,
  MIMIC_AIORTC, /* 1.16, with aioice */
  MIMIC_WERIFT, /* 0.25 */
  MIMIC_KINDS
};

/* What a client does about an error. */
enum mimic_reaction {
  MIMIC_END,        /* the call is over */
  MIMIC_AGAIN,      /* asks again with the new nonce */
  MIMIC_AGAIN_BAD,  /* so, but with a FINGERPRINT that is wrong */
  MIMIC_NEXT_TIME,  /* keeps the new nonce, and asks when it would have asked next */
  MIMIC_NO_END,     /* repeats the request at once, each time */
  MIMIC_ANEW,       /* deletes what may be there, and allocates */
  MIMIC_CREDENTIALS /* waits for other credentials */
};

typedef struct mimic_habits {
  const char *name;
  fzr_time first_refresh, refresh_every; /* after the last success */
  fzr_time bind_every;
  fzr_time permission_every; /* CreatePermission for all peers, with port 0; 0: never */
  fzr_time probe_every;      /* a Binding request first, and then so often; 0: never */
  fzr_time first_wait, longest_wait;
  unsigned growth; /* of the wait, in percent */
  unsigned tries;
  bool renews_heard;      /* only channels on which something came */
  bool knows_realm;       /* signs the first Allocate already */
  bool both_families;     /* asks for them in Allocate and in Refresh */
  bool fingerprint;       /* adds it */
  bool only_signed;       /* ignores what has no right MESSAGE-INTEGRITY, but for Binding */
  bool verifies;          /* ignores what has a wrong one */
  bool signed_is_forged;  /* a 401 or 438 with MESSAGE-INTEGRITY is none: MIMIC_NO_END */
  bool refresh_succeeded; /* whatever the answer said */
  bool first_bind_counts; /* a 400 to it ends all */
  bool random_channels;
  enum mimic_reaction at_401, at_437, at_438, at_other; /* of 401: that of a request with a nonce */
} mimic_habits;

extern const mimic_habits mimic_habits_of[MIMIC_KINDS];

enum mimic_state {
  MIMIC_OFF,
  MIMIC_ASKING, /* for an allocation */
  MIMIC_LIVE,
  MIMIC_NEEDS_CREDENTIALS, /* mimic_login */
  MIMIC_ENDED
};

typedef struct mimic_channel {
  fzr_addr peer;
  uint16_t number;
  bool bound, heard;
  fzr_time due;
} mimic_channel;

typedef struct mimic_transaction {
  bool used, deletes;
  bool had_nonce;
  uint16_t method;
  int channel;
  unsigned repeats, tries;
  fzr_time wait, next_try;
  uint8_t txid[FZR_STUN_TXID_LEN];
  uint16_t len;
  uint8_t data[512];
} mimic_transaction;

/* Sends a datagram to the relay. */
typedef void (*mimic_send_fn)(void *ctx, const uint8_t *data, size_t len);

typedef struct mimic {
  const mimic_habits *habits;
  mimic_send_fn send;
  void *ctx;
  fzt_prng chance;
  enum mimic_state state;
  const char *why; /* it ended */
  char username[128];
  uint8_t key[FZR_STUN_KEY_LEN];
  bool has_realm;
  uint8_t nonce[128];
  uint16_t nonce_len;
  fzr_time refresh_due, permission_due, probe_due;
  mimic_channel channels[MIMIC_CHANNELS];
  mimic_transaction transactions[8];
  /* What happened. */
  unsigned codes[700]; /* of the answers that it took; 0: success */
  unsigned answers;    /* all that came */
  unsigned ignored;    /* unsigned or wrongly signed */
  unsigned allocations;
  unsigned resets; /* how often it gave up an allocation for another one */
  unsigned requests;
} mimic;

/* |name| of the kind; MIMIC_KINDS if there is none. */
enum mimic_kind mimic_kind_of(const char *name);
/* A client that has not begun. Datagrams for the relay go to |send|; its chance comes from |seed|. */
void mimic_init(mimic *m, enum mimic_kind kind, uint64_t seed, mimic_send_fn send, void *ctx);
/* Credentials, for the beginning or because it needs others; the allocation that it has is deleted and made again. */
void mimic_login(mimic *m, const char *username, const char *password, fzr_time now);
/* Forgets all but the peers, and begins. */
void mimic_begin(mimic *m, fzr_time now);
/* It notices that its network has changed, or has another reason: it refreshes now. */
void mimic_refresh(mimic *m, fzr_time now);
/* When to call mimic_tick next. */
fzr_time mimic_deadline(const mimic *m);
void mimic_tick(mimic *m, fzr_time now);
/* Whether all channels are bound. */
bool mimic_ready(const mimic *m);
/* Sends to the peer of |channel|. Returns false if that is not bound. */
bool mimic_talk(mimic *m, unsigned channel, const uint8_t *data, uint16_t len);
/* A datagram from the relay. Returns true if it is a peer's: of |*channel|, |*payload|. */
bool mimic_receive(mimic *m, const uint8_t *data, size_t len, fzr_time now, unsigned *channel,
                   const uint8_t **payload, uint16_t *payload_len);

#endif
