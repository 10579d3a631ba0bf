/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams on a channel and what becomes of them: one table for all data paths. */
#ifndef FZT_RELAY_CASES_H
#define FZT_RELAY_CASES_H

#include <stdbool.h>
#include <stdint.h>

/* The channel that is bound; FZT_CASE_OTHER is not. */
#define FZT_CASE_CHANNEL 0x4000
#define FZT_CASE_OTHER   0x4007

typedef struct fzt_relay_case {
  const char *name;
  bool up;          /* from the client, with a ChannelData header; else from the peer, as it is */
  uint16_t channel; /* in the header */
  uint16_t stated;  /* length in the header */
  uint16_t there;   /* bytes of payload that are there */
  int relayed;      /* bytes of payload that are relayed; -1: it is not */
  bool
      in_kernel; /* whether the kernel relays it, where the frame is long enough; else it is left to the engine */
} fzt_relay_case;

static const fzt_relay_case fzt_relay_cases[] = {
    {"up, 100 B", true, FZT_CASE_CHANNEL, 100, 100, 100, true},
    {"up, empty", true, FZT_CASE_CHANNEL, 0, 0, 0, true},
    {"up, 1 B", true, FZT_CASE_CHANNEL, 1, 1, 1, true},
    {"up, 17 B", true, FZT_CASE_CHANNEL, 17, 17, 17, true},
    {"up, 18 B", true, FZT_CASE_CHANNEL, 18, 18, 18, true},
    {"up, odd", true, FZT_CASE_CHANNEL, 777, 777, 777, true},
    {"up, 1,400 B", true, FZT_CASE_CHANNEL, 1400, 1400, 1400, true},
    {"up, padded to a multiple of four", true, FZT_CASE_CHANNEL, 97, 100, 97, false},
    {"up, length of more than is there", true, FZT_CASE_CHANNEL, 101, 100, -1, false},
    {"up, channel not bound", true, FZT_CASE_OTHER, 100, 100, -1, false},
    {"up, number below the channels", true, 0x3fff, 100, 100, -1, false},
    {"up, reserved number", true, 0x5000, 100, 100, -1, false},
    {"down, 100 B", false, 0, 0, 100, 100, true},
    {"down, empty", false, 0, 0, 0, 0, true},
    {"down, 1 B", false, 0, 0, 1, 1, true},
    {"down, 13 B", false, 0, 0, 13, 13, true},
    {"down, 14 B", false, 0, 0, 14, 14, true},
    {"down, odd", false, 0, 0, 777, 777, true},
    {"down, 1,400 B", false, 0, 0, 1400, 1400, true},
};

#define FZT_RELAY_CASES (sizeof fzt_relay_cases / sizeof *fzt_relay_cases)

/* Writes the datagram of |c| to |out|, room for 2,048 bytes. Returns its length. */
static inline uint16_t fzt_relay_case_make(const fzt_relay_case *c, uint8_t *out)
{
  uint16_t len = 0;
  if (c->up) {
    out[0] = (uint8_t)(c->channel >> 8);
    out[1] = (uint8_t)c->channel;
    out[2] = (uint8_t)(c->stated >> 8);
    out[3] = (uint8_t)c->stated;
    len = 4;
  }
  for (uint16_t i = 0; i < c->there; i++, len++)
    out[len] = (uint8_t)(i * 7 + 3);
  return len;
}

#endif
