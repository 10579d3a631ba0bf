/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <string.h>

#define UDP 17

/* What was read off a frame. */
typedef struct view {
  fzr_addr from, to;
  uint8_t ttl, tos;
  uint16_t id;
  bool df;
  uint32_t flow_label;
  uint16_t udp_len, sum;
  const uint8_t *data; /* behind the UDP header */
  size_t len;
} view;

static fzr_addr address(uint8_t family, const uint8_t *ip, const uint8_t *port)
{
  return family == FZR_FAMILY_IPV4 ? fzr_addr_ipv4(ip, fzt_get16(port)) : fzr_addr_ipv6(ip, fzt_get16(port));
}

static void see_udp(view *v, const fzt_frame *f, uint8_t family, const uint8_t *addresses)
{
  const uint8_t *udp = f->data + fzt_udp_at(family);
  const size_t ip = family == FZR_FAMILY_IPV4 ? 4 : 16;
  v->from = address(family, addresses, udp);
  v->to = address(family, addresses + ip, udp + 2);
  v->udp_len = fzt_get16(udp + 4);
  v->sum = fzt_get16(udp + 6);
  v->data = udp + 8;
  v->len = f->len - fzt_udp_at(family) - 8;
}

/* The checks that come before it is clear whose port it is. Return -1 or a reason. */
static int see_ip4(view *v, const fzt_frame *f)
{
  const uint8_t *ip = f->data + 14;
  if (f->len < 42)
    return FZX_PASSED_LENGTH;
  if (ip[9] != UDP)
    return FZX_PASSED_NOT_UDP;
  if ((f->data[0] | f->data[6]) & 1)
    return FZX_PASSED_GROUP;
  if (ip[0] != 0x45)
    return FZX_PASSED_OPTIONS;
  if (fzt_get16(ip + 6) & 0x3fff)
    return FZX_PASSED_FRAGMENT;
  see_udp(v, f, FZR_FAMILY_IPV4, ip + 12);
  v->ttl = ip[8];
  v->tos = ip[1];
  v->id = fzt_get16(ip + 4);
  v->df = ip[6] & 0x40;
  return -1;
}

static int see_ip6(view *v, const fzt_frame *f)
{
  const uint8_t *ip = f->data + 14, next = ip[6];
  if (f->len < 62)
    return FZX_PASSED_LENGTH;
  if (next == 44)
    return FZX_PASSED_FRAGMENT;
  if (next == 0 || next == 43 || next == 51 || next == 60 || ip[0] >> 4 != 6)
    return FZX_PASSED_OPTIONS;
  if (next != UDP)
    return FZX_PASSED_NOT_UDP;
  if ((f->data[0] | f->data[6]) & 1)
    return FZX_PASSED_GROUP;
  see_udp(v, f, FZR_FAMILY_IPV6, ip + 8);
  v->ttl = ip[7];
  v->tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
  v->df = true;
  v->flow_label = (uint32_t)(ip[1] & 15) << 16 | (uint32_t)ip[2] << 8 | ip[3];
  return -1;
}

/* Lengths and the UDP checksum. */
static int check_datagram(const view *v, const fzt_frame *f)
{
  const uint8_t family = v->from.family;
  const uint8_t *ip = f->data + 14;
  const uint32_t ip_says = family == FZR_FAMILY_IPV4 ? fzt_get16(ip + 2) : fzt_get16(ip + 4) + 40u;
  if (v->udp_len < 8 || ip_says != v->udp_len + fzt_ip_len(family) || f->len != ip_says + 14)
    return FZX_PASSED_LENGTH;
  if (!v->sum)
    return family == FZR_FAMILY_IPV6 ? FZX_PASSED_NO_CHECKSUM : -1;
  static fzt_frame unfinished;
  memcpy(&unfinished, f, sizeof unfinished);
  fzt_unfinish_udp_sum(&unfinished, family);
  return memcmp(unfinished.data, f->data, f->len) == 0 ? FZX_PASSED_UNFINISHED : -1;
}

static int check_channel_data(const view *v)
{
  if (v->len < 4)
    return FZX_PASSED_NOT_CHANNEL_DATA;
  const uint16_t number = fzt_get16(v->data);
  if (number < 0x4000 || number > 0x4fff)
    return FZX_PASSED_NOT_CHANNEL_DATA;
  return fzt_get16(v->data + 2) == v->len - 4 ? -1 : FZX_PASSED_CHANNEL_LENGTH;
}

static int check_ip(const view *v, const fzt_frame *f)
{
  static fzt_frame fixed;
  if (v->ttl < 2)
    return FZX_PASSED_TTL;
  if (v->from.family == FZR_FAMILY_IPV6)
    return -1;
  memcpy(&fixed, f, sizeof fixed);
  fzt_fix_ip_sum(&fixed);
  /* A sum of 0xffff is as right as the 0 that it should be. */
  const uint16_t is = fzt_get16(f->data + 24), should = fzt_get16(fixed.data + 24);
  return is == should || (is == 0xffff && should == 0) ? -1 : FZX_PASSED_IP_CHECKSUM;
}

static const fzt_channel *find(const fzt_reference *r, const view *v, bool up, bool *elsewhere)
{
  *elsewhere = false;
  for (size_t i = 0; i < r->count; i++) {
    const fzt_channel *c = &r->channels[i];
    const bool mine = up ? fzr_addr_equal(&c->client, &v->from) && c->number == fzt_get16(v->data)
                         : fzr_addr_equal(&c->peer, &v->from) && c->relayed.port == v->to.port;
    if (!mine)
      continue;
    if (fzr_addr_equal(up ? &c->listen : &c->relayed, &v->to))
      return c;
    *elsewhere = true;
  }
  return NULL;
}

int fzt_reference_relay(const fzt_reference *r, const fzt_frame *in, fzt_frame *out)
{
  static uint8_t payload[FZT_FRAME_MAX];
  view v;
  bool elsewhere;
  memset(&v, 0, sizeof v);
  const uint16_t type = fzt_get16(in->data + 12);
  if (type != 0x0800 && type != 0x86dd)
    return type == 0x8100 || type == 0x88a8 ? FZX_PASSED_VLAN : FZX_PASSED_NOT_UDP;
  int reason = type == 0x0800 ? see_ip4(&v, in) : see_ip6(&v, in);
  if (reason >= 0)
    return reason;
  const bool up = v.to.port == r->settings.listen_port;
  if (!up && (v.to.port < r->settings.lowest_port || v.to.port > r->settings.highest_port))
    return FZX_PASSED_PORT;
  reason = check_datagram(&v, in);
  if (reason < 0 && up)
    reason = check_channel_data(&v);
  if (reason < 0)
    reason = check_ip(&v, in);
  if (reason >= 0)
    return reason;
  const fzt_channel *c = find(r, &v, up, &elsewhere);
  if (!c)
    return elsewhere ? FZX_PASSED_DESTINATION : FZX_PASSED_NO_ENTRY;
  fzt_packet p = {.from = up ? c->relayed : c->listen,
                  .to = up ? c->peer : c->client,
                  .ttl = (uint8_t)(v.ttl - 1),
                  .tos = v.tos,
                  .id = v.id,
                  .df = v.df,
                  .flow_label = v.flow_label,
                  .payload = up ? v.data + 4 : payload,
                  .len = up ? v.len - 4 : v.len + 4};
  memcpy(p.to_mac, in->data + 6, 6);
  memcpy(p.from_mac, in->data, 6);
  if (!up) {
    fzt_put16(payload, c->number);
    fzt_put16(payload + 2, (uint16_t)v.len);
    memcpy(payload + 4, v.data, v.len);
  }
  if (p.from.family == FZR_FAMILY_IPV6 && !v.sum)
    return FZX_PASSED_NO_CHECKSUM;
  fzt_frame_make(out, &p);
  if (out->len < 60)
    return FZX_PASSED_SHORT;
  if (!v.sum)
    fzt_put16(out->data + fzt_udp_at(p.from.family) + 6, 0);
  return -1;
}
