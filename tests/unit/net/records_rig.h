/* SPDX-License-Identifier: Apache-2.0 */
/* Two sides of records against each other, by a wire in memory. No two records may have the same key and nonce: rig_stop holds them to that. */
#ifndef FZT_RECORDS_RIG_H
#define FZT_RECORDS_RIG_H

#include "net/tls_records.h"

#include <stdint.h>

#define RIG_HEADER 5u

/* What the last one who wrote has written, and how much of it the other one may read. */
typedef struct rig_wire {
  uint8_t data[200000];
  size_t from, to;
  size_t readable; /* up to here */
  size_t room;     /* that may be written still */
  bool broken;
} rig_wire;

extern rig_wire wire;
extern net_tls_records *client, *server;
extern const net_tls_io io;
extern uint8_t data[50000], seen[50000];
extern bool rig_copies; /* somebody goes on twice on purpose: nonces are not looked at */

/* Each version with each cipher. */
#define RIG_CASES 6
net_tls_version rig_version(int i);
net_aead_kind rig_kind(int i);

/* Both sides' state as a handshake might leave it; of TLS 1.2 with a record behind it. */
net_tls_agreed rig_agreed(int i, bool of_server);
void rig_start(int i);
void rig_stop(void);

/* What |len| bytes become on the wire in case |i|. */
size_t rig_whole(int i, size_t len);

/* Puts a record of |type| that the client might send, number |number| with its first key, on the wire; |padding| bytes of it are, in TLS 1.3. */
void rig_put_record(int i, uint8_t type, const uint8_t *body, size_t len, size_t padding, unsigned number);

void rig_write(net_tls_records *r, size_t len);
/* Reads |len| bytes, |cap| at a time, and compares. */
void rig_read(net_tls_records *r, size_t len, size_t cap);

/* The server refuses what comes, for good. */
void rig_fails(const char *error);
/* Likewise, and it says so with |alert|. */
void rig_refused(int i, const char *error, uint8_t alert);

/* As bytes. */
typedef struct rig_bytes {
  uint8_t data[40000];
  size_t len;
} rig_bytes;
extern rig_bytes saved;
void rig_save(const net_tls_records *r);
/* Another one goes on in its place. */
void rig_move(net_tls_records **r);

#endif
