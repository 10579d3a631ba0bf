/* SPDX-License-Identifier: Apache-2.0 */
#include "mobility_rig.h"

uint8_t rig_ticket[64];
uint16_t rig_ticket_len;

void rig_keep_ticket(const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  ck_assert(fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &attr));
  ck_assert_uint_le(attr.len, sizeof rig_ticket);
  memcpy(rig_ticket, attr.value, attr.len);
  rig_ticket_len = attr.len;
}

int rig_allocate_mobile(fzt_relay *r, fzt_client_state *c)
{
  uint8_t buffer[512];
  fzr_stun_builder b;
  fzr_stun_msg msg;
  ck_assert_int_eq(fzt_allocate(r, c), 0); /* for a nonce */
  ck_assert_int_eq(fzt_refresh(r, c, 0), 0);
  fzt_begin(r, c, &b, buffer, sizeof buffer, FZR_STUN_ALLOCATE);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, NULL, 0);
  const int code = fzt_finish(r, c, &b, &msg);
  if (code == 0) {
    fzr_addr relayed;
    ck_assert(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
    c->relayed_port = relayed.port;
    rig_keep_ticket(&msg);
  }
  return code;
}

void rig_get_nonce(fzt_relay *r, fzt_client_state *c)
{
  fzr_stun_msg msg;
  fzr_stun_attr nonce;
  c->nonce_len = 0;
  ck_assert_int_eq(fzt_refresh(r, c, 600), 401);
  ck_assert_int_eq(fzr_stun_read(r->answers[0].data, r->answers[0].len, &msg), 0);
  ck_assert(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
  memcpy(c->nonce, nonce.value, nonce.len);
  c->nonce_len = nonce.len;
}

size_t rig_build_move(fzt_relay *r, const fzt_client_state *c, uint8_t *buffer, size_t cap)
{
  fzr_stun_builder b;
  fzt_begin(r, c, &b, buffer, cap, FZR_STUN_REFRESH);
  fzr_stun_add(&b, FZR_ATTR_MOBILITY_TICKET, rig_ticket, rig_ticket_len);
  fzr_stun_add_integrity(&b, c->key, FZR_STUN_KEY_LEN);
  const int len = fzr_stun_build_finish(&b);
  ck_assert_int_gt(len, 0);
  return (size_t)len;
}

void rig_move(fzt_relay *r, fzt_client_state *c)
{
  uint8_t buffer[512];
  fzr_stun_msg msg;
  rig_get_nonce(r, c);
  const size_t len = rig_build_move(r, c, buffer, sizeof buffer);
  fzt_client(r, &c->addr, &c->server, buffer, len);
  ck_assert_uint_eq(r->answer_count, 1);
  ck_assert_int_eq(fzr_stun_read(r->answers[0].data, r->answers[0].len, &msg), 0);
  ck_assert_uint_eq(msg.cls, FZR_STUN_SUCCESS);
  ck_assert(fzr_stun_verify(&msg, c->key, FZR_STUN_KEY_LEN));
  ck_assert(fzr_addr_equal(&r->answers[0].to, &c->addr));
  rig_keep_ticket(&msg);
}
