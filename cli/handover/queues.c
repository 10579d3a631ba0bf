/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/queues.h"

#include "handover/number.h"

#include <string.h>

#define HEAD   8u /* magic, version, what is 0 */
#define RECORD 8u /* type, what is 0, length */
#define MAJOR  1u

enum record_type { RECORD_COUNTERS = 1, RECORD_UNSENT };

enum unsent_flag { LISTENS = 1, TO_STRANGER = 2, DONT_FRAGMENT = 4 };

static const uint8_t magic[4] = {'F', 'Z', 'H', 'Q'};

/* Of fzr_udp_stats, in the order of the record; further ones go to the end. */
static const uint16_t counters[] = {
    offsetof(fzr_udp_stats, queue_dropped),
    offsetof(fzr_udp_stats, send_errors),
    offsetof(fzr_udp_stats, receive_errors),
    offsetof(fzr_udp_stats, receive_calls),
    offsetof(fzr_udp_stats, send_calls),
    offsetof(fzr_udp_stats, received),
    offsetof(fzr_udp_stats, sent),
    offsetof(fzr_udp_stats, gso_refused),
    offsetof(fzr_udp_stats, send_expired),
    offsetof(fzr_udp_stats, unreached_dropped),
    offsetof(fzr_udp_stats, answers_dropped),
};
#define COUNTERS (sizeof counters / sizeof counters[0])

/* An address as bytes: family, nothing, port, scope, sixteen of the address. */
#define ADDR ((size_t)24)
/* What is in front of the datagrams of a record. */
#define UNSENT (2 * ADDR + 16)

static uint64_t *counter(fzr_udp_stats *stats, size_t i)
{
  return (uint64_t *)(void *)((uint8_t *)stats + counters[i]);
}

void handover_add_counters(fzr_udp_stats *stats, const fzr_udp_stats *before)
{
  fzr_udp_stats copy = *before;
  for (size_t i = 0; i < COUNTERS; i++)
    *counter(stats, i) += *counter(&copy, i);
}

/* ---- writing ---- */

static void put_record(handover_file *file, enum record_type type, size_t len)
{
  uint8_t head[RECORD] = {0};
  handover_put_number(head, type, 2);
  handover_put_number(head + 4, len, 4);
  handover_file_put(file, head, sizeof head);
}

static void put_addr(uint8_t out[ADDR], const fzr_addr *addr)
{
  memset(out, 0, ADDR);
  out[0] = addr->family;
  handover_put_number(out + 2, addr->port, 2);
  handover_put_number(out + 4, addr->scope_id, 4);
  memcpy(out + 8, addr->ip, 16);
}

static void put_unsent(void *ctx, const fzr_udp_unsent *u)
{
  handover_file *file = ctx;
  uint8_t head[UNSENT];
  put_addr(head, &u->to);
  put_addr(head + ADDR, &u->from);
  uint8_t *rest = head + 2 * ADDR;
  handover_put_number(rest, u->seg, 2);
  handover_put_number(rest + 2, u->count, 2);
  handover_put_number(rest + 4, u->port, 2);
  handover_put_number(rest + 6,
                      (u->listens ? LISTENS : 0u) | (u->to_stranger ? TO_STRANGER : 0u) |
                          (u->dont_fragment ? DONT_FRAGMENT : 0u),
                      2);
  handover_put_number(rest + 8, u->waited, 8);
  put_record(file, RECORD_UNSENT, sizeof head + u->len);
  handover_file_put(file, head, sizeof head);
  handover_file_put(file, u->data, u->len);
}

void handover_queues_write(handover_file *file, const fzr_udp *udp, const fzr_udp_stats *before)
{
  uint8_t head[HEAD] = {0}, numbers[8 * COUNTERS];
  fzr_udp_stats stats = {0};
  fzr_udp_get_stats(udp, &stats);
  handover_add_counters(&stats, before);
  memcpy(head, magic, sizeof magic);
  handover_put_number(head + 4, MAJOR, 2);
  handover_file_put(file, head, sizeof head);
  for (size_t i = 0; i < COUNTERS; i++)
    handover_put_number(numbers + 8 * i, *counter(&stats, i), 8);
  put_record(file, RECORD_COUNTERS, sizeof numbers);
  handover_file_put(file, numbers, sizeof numbers);
  fzr_udp_each_unsent(udp, put_unsent, file);
}

/* ---- reading ---- */

static bool get_addr(const uint8_t in[ADDR], fzr_addr *out)
{
  const uint16_t port = (uint16_t)handover_get_number(in + 2, 2);
  memset(out, 0, sizeof *out);
  if (in[0] == FZR_FAMILY_NONE)
    return true;
  if (in[0] != FZR_FAMILY_IPV4 && in[0] != FZR_FAMILY_IPV6)
    return false;
  *out = in[0] == FZR_FAMILY_IPV4 ? fzr_addr_ipv4(in + 8, port) : fzr_addr_ipv6(in + 8, port);
  out->scope_id = (uint32_t)handover_get_number(in + 4, 4);
  return true;
}

static bool get_unsent(const uint8_t *in, size_t len, fzr_udp_unsent *out)
{
  memset(out, 0, sizeof *out);
  if (len < UNSENT || len - UNSENT > UINT16_MAX || !get_addr(in, &out->to) ||
      !get_addr(in + ADDR, &out->from))
    return false;
  const uint8_t *rest = in + 2 * ADDR;
  const unsigned flags = (unsigned)handover_get_number(rest + 6, 2);
  out->seg = (uint16_t)handover_get_number(rest, 2);
  out->count = (uint16_t)handover_get_number(rest + 2, 2);
  out->port = (uint16_t)handover_get_number(rest + 4, 2);
  out->listens = flags & LISTENS;
  out->to_stranger = flags & TO_STRANGER;
  out->dont_fragment = flags & DONT_FRAGMENT;
  out->waited = handover_get_number(rest + 8, 8);
  out->data = in + UNSENT;
  out->len = (uint32_t)(len - UNSENT);
  return out->to.family != FZR_FAMILY_NONE;
}

static void get_counters(const uint8_t *in, size_t len, fzr_udp_stats *stats)
{
  for (size_t i = 0; i < COUNTERS && 8 * (i + 1) <= len; i++)
    *counter(stats, i) = handover_get_number(in + 8 * i, 8);
}

bool handover_queues_read(const uint8_t *data, size_t len, fzr_udp_stats *stats,
                          void (*each)(void *ctx, const fzr_udp_unsent *unsent), void *ctx)
{
  fzr_udp_unsent unsent;
  memset(stats, 0, sizeof *stats);
  if (len < HEAD || memcmp(data, magic, sizeof magic) != 0 || handover_get_number(data + 4, 2) != MAJOR)
    return false;
  for (size_t at = HEAD; at < len;) {
    if (len - at < RECORD)
      return false;
    const unsigned type = (unsigned)handover_get_number(data + at, 2);
    const size_t size = (size_t)handover_get_number(data + at + 4, 4);
    at += RECORD;
    if (size > len - at)
      return false;
    if (type == RECORD_COUNTERS)
      get_counters(data + at, size, stats);
    else if (type == RECORD_UNSENT && !get_unsent(data + at, size, &unsent))
      return false;
    else if (type == RECORD_UNSENT)
      each(ctx, &unsent);
    at += size;
  }
  return true;
}
