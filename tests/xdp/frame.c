/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

#define UDP 17

uint16_t fzt_get16(const uint8_t *at)
{
  return (uint16_t)(at[0] << 8 | at[1]);
}

void fzt_put16(uint8_t *at, uint16_t value)
{
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

size_t fzt_ip_len(uint8_t family)
{
  return family == FZR_FAMILY_IPV4 ? 20 : 40;
}

static uint32_t add(uint32_t sum, const uint8_t *data, size_t len)
{
  for (size_t i = 0; i < len; i += 2) {
    sum += i + 1 < len ? fzt_get16(data + i) : (uint32_t)data[i] << 8;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

/* The pseudo header of RFC 768 and RFC 8200 section 8.1. */
static uint32_t pseudo_sum(const fzt_frame *f, uint8_t family)
{
  const size_t ip = family == FZR_FAMILY_IPV4 ? 26 : 22, addresses = family == FZR_FAMILY_IPV4 ? 8 : 32;
  const uint8_t *udp = f->data + fzt_udp_at(family);
  const uint8_t rest[4] = {0, UDP, udp[4], udp[5]};
  return add(add(0, f->data + ip, addresses), rest, 4);
}

/* The sum over pseudo header and datagram, as long as its length field says or the frame goes. */
static uint32_t udp_sum(const fzt_frame *f, uint8_t family)
{
  const size_t at = fzt_udp_at(family);
  const size_t said = fzt_get16(f->data + at + 4), there = f->len - at;
  return add(pseudo_sum(f, family), f->data + at, said < there ? said : there);
}

void fzt_fix_ip_sum(fzt_frame *f)
{
  fzt_put16(f->data + 24, 0);
  fzt_put16(f->data + 24, (uint16_t)~add(0, f->data + 14, 20));
}

void fzt_fix_udp_sum(fzt_frame *f, uint8_t family)
{
  uint8_t *field = f->data + fzt_udp_at(family) + 6;
  fzt_put16(field, 0);
  const uint16_t sum = (uint16_t)~udp_sum(f, family);
  fzt_put16(field, sum ? sum : 0xffff);
}

void fzt_unfinish_udp_sum(fzt_frame *f, uint8_t family)
{
  fzt_put16(f->data + fzt_udp_at(family) + 6, (uint16_t)pseudo_sum(f, family));
}

static void put_ip4(uint8_t *ip, const fzt_packet *p)
{
  const uint8_t head[12] = {0x45,   p->tos, 0, 0, (uint8_t)(p->id >> 8), (uint8_t)p->id, p->df ? 0x40 : 0, 0,
                            p->ttl, UDP,    0, 0};
  memcpy(ip, head, sizeof head);
  fzt_put16(ip + 2, (uint16_t)(28 + p->len));
  memcpy(ip + 12, p->from.ip, 4);
  memcpy(ip + 16, p->to.ip, 4);
}

static void put_ip6(uint8_t *ip, const fzt_packet *p)
{
  const uint8_t head[8] = {(uint8_t)(0x60 | p->tos >> 4),
                           (uint8_t)((unsigned)p->tos << 4 | (p->flow_label >> 16 & 15)),
                           (uint8_t)(p->flow_label >> 8),
                           (uint8_t)p->flow_label,
                           0,
                           0,
                           UDP,
                           p->ttl};
  memcpy(ip, head, sizeof head);
  fzt_put16(ip + 4, (uint16_t)(8 + p->len));
  memcpy(ip + 8, p->from.ip, 16);
  memcpy(ip + 24, p->to.ip, 16);
}

void fzt_frame_make(fzt_frame *f, const fzt_packet *p)
{
  const uint8_t family = p->from.family;
  uint8_t *udp = f->data + fzt_udp_at(family);
  memcpy(f->data, p->to_mac, 6);
  memcpy(f->data + 6, p->from_mac, 6);
  fzt_put16(f->data + 12, family == FZR_FAMILY_IPV4 ? 0x0800 : 0x86dd);
  if (family == FZR_FAMILY_IPV4)
    put_ip4(f->data + 14, p);
  else
    put_ip6(f->data + 14, p);
  fzt_put16(udp, p->from.port);
  fzt_put16(udp + 2, p->to.port);
  fzt_put16(udp + 4, (uint16_t)(8 + p->len));
  if (p->len)
    memcpy(udp + 8, p->payload, p->len);
  f->len = fzt_udp_at(family) + 8 + p->len;
  if (family == FZR_FAMILY_IPV4)
    fzt_fix_ip_sum(f);
  fzt_fix_udp_sum(f, family);
}

bool fzt_sums_are_right(const fzt_frame *f)
{
  const uint8_t family = fzt_get16(f->data + 12) == 0x0800 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
  if (family == FZR_FAMILY_IPV4 && add(0, f->data + 14, 20) != 0xffff)
    return false;
  if (!fzt_get16(f->data + fzt_udp_at(family) + 6))
    return family == FZR_FAMILY_IPV4;
  return udp_sum(f, family) == 0xffff;
}
