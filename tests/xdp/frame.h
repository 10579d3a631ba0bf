/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet frames with UDP in them: made, and judged, with sums computed in full. */
#ifndef FZT_FRAME_H
#define FZT_FRAME_H

#include "firezone_relay/firezone_relay.h"

#define FZT_FRAME_MAX 12000u

typedef struct fzt_frame {
  uint8_t data[FZT_FRAME_MAX];
  size_t len;
} fzt_frame;

/* What a frame is made of. Both addresses are of one family. */
typedef struct fzt_packet {
  uint8_t to_mac[6], from_mac[6];
  fzr_addr from, to;
  uint8_t ttl;
  uint8_t tos;
  uint16_t id;         /* IPv4 */
  bool df;             /* IPv4 */
  uint32_t flow_label; /* IPv6 */
  const uint8_t *payload;
  size_t len;
} fzt_packet;

void fzt_frame_make(fzt_frame *frame, const fzt_packet *packet);

/* Offsets into a frame of |family|. */
size_t fzt_ip_len(uint8_t family);
static inline size_t fzt_udp_at(uint8_t family)
{
  return 14 + fzt_ip_len(family);
}

/* Writes the sums that belong there, of an IPv4 header without options, and of UDP. */
void fzt_fix_ip_sum(fzt_frame *frame);
void fzt_fix_udp_sum(fzt_frame *frame, uint8_t family);
/* What a sender leaves in the UDP checksum when a device has to finish it. */
void fzt_unfinish_udp_sum(fzt_frame *frame, uint8_t family);

/* Whether both sums are right; a UDP checksum of 0 is, for IPv4. */
bool fzt_sums_are_right(const fzt_frame *frame);

uint16_t fzt_get16(const uint8_t *at);
void fzt_put16(uint8_t *at, uint16_t value);

#endif
