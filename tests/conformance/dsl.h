/* SPDX-License-Identifier: Apache-2.0 */
/* The language of the conformance table: steps in words, answers in words.
 *
 * A step is a line of words separated by spaces; steps are separated by " ; ". The first word says what is done:
 *
 *   binding allocate refresh bind permission send data-ind method=N   a STUN request of that method
 *   channel N LENGTH            ChannelData of LENGTH bytes on channel N
 *   peer ADDR LENGTH            a datagram from a peer to the client's relayed port
 *   wait SECONDS                time goes on (fractions allowed)
 *   raw HEX                     these bytes, from the client
 *   draining                    the relay refuses new allocations from now on
 *   open-error CODE             the next socket that is to be opened fails with this fzr_error
 *   client N                    from now on client N (1 to 4) speaks; each has its own address and nonce
 *   local ADDR                  from now on the client talks to this address of the relay
 *   nonce                       the client gets itself a nonce
 *   keep-tid                    the last request's transaction id is kept for a later kept-tid
 *   take-nonce N                the client takes over client N's nonce
 *   user NAME PASSWORD          from now on the client uses this credential
 *   stamp EXPIRY SALT           the same, with the stamp scheme's password
 *   second-stamp EXPIRY SALT    with that of the second secret
 *   rest NAME                   the same, with the REST scheme's
 *   long-user LENGTH            a stamp credential whose username has this length
 *   odd-user HEX                a stamp credential with these bytes as salt
 *   users-by-key, users-by-password   from now on there are alice and kate, who has no password in the first case
 *   key-of EXPIRY               the username stays, and the key is that of the same one with its expiry written so
 *   source ADDR                 from now on the client sends from there
 *   skip SECONDS                time goes on, but nobody tells the engine until it gets something
 *   expect-allocations N        that many are live
 *   expect-even                 the last relayed port is even
 *   expect-next                 it is the one above the last one before it
 *   times N STEP                the step N times
 *
 * Words of a request (authenticated with everything that is right unless they say otherwise):
 *   anonymous (nothing of it) no-user no-mi no-nonce no-realm bad-mi bad-nonce other-nonce realm=R user=U same-tid kept-tid
 *   transport=N lifetime=N req=N add=N chan=N peer=ADDR df even (with the R bit) even-only unknown=N optional=N attr=N:HEX software=S
 *   token (the last RESERVATION-TOKEN that the relay gave) forged-token
 *   mobile (an empty MOBILITY-TICKET) ticket (the last that the relay gave) old-ticket (the one before) forged-ticket
 *   fingerprint bad-fingerprint indication success late=N:HEX (behind MESSAGE-INTEGRITY) truncated
 *
 * and of RFC 8489:
 *   sha256 (a key by SHA-256, PASSWORD-ALGORITHMS as it was offered, PASSWORD-ALGORITHM, and MESSAGE-INTEGRITY-SHA256 in place of
 *   MESSAGE-INTEGRITY) md5 (the same with a key by MD5) key256 (a key by SHA-256, no more) no-list list=HEX (another
 *   PASSWORD-ALGORITHMS) algorithm=N (another PASSWORD-ALGORITHM, 0: none) mi256=N (N bytes of MESSAGE-INTEGRITY-SHA256, 0: none)
 *   bad-mi256 mi (MESSAGE-INTEGRITY, too) hash (USERHASH in place of USERNAME) hash=HEX bare-nonce (without its cookie) cookie=XXXX
 *
 * What comes out is written in words too, and compared as text: "success" or "error CODE", then each attribute in the order of
 * the message; "nothing"; "drop REASON"; "forward PEER LENGTH"; "deliver CHANNEL LENGTH"; "data PEER LENGTH", in a Data indication.
 * The relayed port is written P, a nonce that is good for this client is "nonce", with a cookie "nonce-", "nonce-p", "nonce-u" or
 * "nonce-pu" by what it says; an integrity that is right under the key of the last request is "mi" or "mi256", the PASSWORD-ALGORITHMS
 * of SHA-256 and MD5 "algorithms". */
#ifndef FZT_DSL_H
#define FZT_DSL_H

#include "relay.h"

typedef struct fzt_row {
  const char *section; /* where it is written */
  const char *config;  /* words: see dsl_config */
  const char *steps;   /* the last one's outcome is compared */
  const char *expected;
} fzt_row;

/* Runs |row|; returns whether the outcome is as expected, having printed both if not. */
bool fzt_row_passes(const fzt_row *row);

#endif
