/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_model.h"

fzt_relay relay;
fzt_client_state clients[CLIENTS];
model_client model[CLIENTS];
fzr_addr peers[PEERS];
fzt_prng prng;
fzr_time last_expiry;
bool full;
bool replaces;
bool mobility;
uint64_t moves, last_id;
model_ticket told;
model_ticket tickets[CLIENTS][2];
bool allowed[PEERS];
const char *const secrets[2] = {FZT_SECRET, "another"};
bool secret_is_good[2];
uint8_t keys[CLIENTS][2][FZR_STUN_KEY_LEN];
int used[CLIENTS];

bool model_alive(int c)
{
  if (model[c].allocated && relay.now >= model[c].expires) {
    last_expiry = model[c].expires > last_expiry ? model[c].expires : last_expiry;
    memset(&model[c], 0, sizeof model[c]);
  }
  return model[c].allocated;
}

bool model_lapsed(int c)
{
  return model_alive(c) && relay.now + GRACE >= model[c].expires;
}

unsigned model_live_count(void)
{
  unsigned n = 0;
  for (int c = 0; c < CLIENTS; c++)
    n += model_alive(c);
  return n;
}

bool model_reserved(const model_channel *ch)
{
  return ch->peer >= 0 && relay.now < ch->bound + 900 * FZR_SECOND + GRACE;
}

bool model_relays(const model_channel *ch)
{
  return ch->peer >= 0 && relay.now < ch->bound + 600 * FZR_SECOND + GRACE;
}

int model_address_of(int peer)
{
  return peer < PEERS - 2 ? 0 : peer - (PEERS - 3);
}

bool model_permits(int c, int address)
{
  const fzr_time since = model[c].permitted[address];
  return since && relay.now >> TICK <= (since + 300 * FZR_SECOND + GRACE) >> TICK;
}

int model_permit_count(int c)
{
  int n = 0;
  for (int i = 0; i < ADDRS; i++)
    n += model_permits(c, i);
  return n;
}

static void note_ticket(const fzr_stun_msg *msg)
{
  fzr_stun_attr ticket;
  told.len = 0;
  if (!fzr_stun_get(msg, FZR_ATTR_MOBILITY_TICKET, &ticket))
    return;
  fzt_check(ticket.len && ticket.len <= sizeof told.bytes);
  told.len = ticket.len;
  memcpy(told.bytes, ticket.value, ticket.len);
}

void model_keep_ticket(int c)
{
  fzt_check(!told.len == !model[c].id);
  if (!told.len)
    return;
  told.id = model[c].id;
  told.generation = model[c].generation;
  tickets[c][1] = tickets[c][0];
  tickets[c][0] = told;
}

int model_ask(int c, uint16_t method, void (*add)(fzr_stun_builder *, const void *), const void *ctx)
{
  uint8_t buffer[512];
  for (;;) {
    fzr_stun_builder b;
    fzr_stun_msg msg;
    fzr_stun_attr nonce;
    fzt_begin(&relay, &clients[c], &b, buffer, sizeof buffer, method);
    add(&b, ctx);
    const int code = fzt_finish(&relay, &clients[c], &b, &msg);
    if (code >= 0)
      note_ticket(&msg);
    if (code == 0 && method == FZR_STUN_ALLOCATE) {
      fzr_addr relayed;
      fzt_check(fzr_stun_get_addr(&msg, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed));
      clients[c].relayed_port = relayed.port;
    }
    const bool first = code == 401 && !clients[c].nonce_len;
    if (code != 438 && !first)
      return code;
    fzt_check(fzr_stun_get(&msg, FZR_ATTR_NONCE, &nonce));
    memcpy(clients[c].nonce, nonce.value, nonce.len);
    clients[c].nonce_len = nonce.len;
  }
}

bool model_replaces_other(int c)
{
  return replaces && c % USERS != BY_TCP;
}

void model_replace_other(int c)
{
  if (model_replaces_other(c))
    memset(&model[(c + USERS) % CLIENTS], 0, sizeof *model);
}

int model_unless_locked_out(int c, int code)
{
  return secret_is_good[used[c]] || (model_alive(c) && model[c].secret == used[c]) ? code : 401;
}

void model_set_lifetime(int c, uint32_t lifetime)
{
  if (lifetime)
    model[c].expires = relay.now +
                       (lifetime > 3600          ? 3600
                        : full && lifetime < 600 ? 600
                                                 : lifetime) *
                           FZR_SECOND +
                       GRACE;
  else
    memset(&model[c], 0, sizeof model[c]);
}

int model_owner_of(const model_ticket *ticket)
{
  for (int i = 0; i < CLIENTS; i++)
    if (model_alive(i) && ticket->id && model[i].id == ticket->id)
      return i;
  return -1;
}

int model_expected_move(int c, const model_ticket *ticket, int owner)
{
  const bool there = mobility && owner >= 0, goes = there && owner != c && !model_alive(c);
  const int whose = goes ? owner : c;
  const bool same_user = whose % USERS == c % USERS;
  if (!secret_is_good[used[c]] && !(same_user && model_alive(whose) && model[whose].secret == used[c]))
    return 401;
  if (!mobility)
    return 405;
  if (!ticket->id)
    return 400; /* forged */
  if (!there || (owner != c && !goes))
    return 437;
  if (goes)
    return same_user ? 0 : 441;
  return ticket->generation == model[c].generation ? 400
                                                   : 0; /* it is of no use here; or it has brought it here */
}

int model_expected_bind(int c, int channel, int peer)
{
  if (!model_alive(c) || model_unless_locked_out(c, 0))
    return model_unless_locked_out(c, 437);
  if (peer == PEERS - 1 && !model[c].dual)
    return 443;
  for (int i = 0; i < CHANNELS; i++) {
    const model_channel *ch = &model[c].channels[i];
    if (model_reserved(ch) && ((i == channel) != (ch->peer == peer)))
      return 400;
  }
  if (!allowed[peer])
    return 403;
  return full && !model_permits(c, model_address_of(peer)) && model_permit_count(c) >= PERMITS ? 508 : 0;
}

void model_bound(int c, int channel, int peer)
{
  model[c].channels[channel] = (model_channel){peer, relay.now};
  if (full)
    model[c].permitted[model_address_of(peer)] = relay.now;
}

int model_expected_permission(int c, const wish *w)
{
  bool fresh[ADDRS] = {false};
  int n = model_permit_count(c);
  if (!model_alive(c) || model_unless_locked_out(c, 0))
    return model_unless_locked_out(c, 437);
  for (int i = 0; i < w->count; i++) {
    if (w->peers[i] == PEERS - 1 && !model[c].dual)
      return 443;
    if (!allowed[w->peers[i]])
      return 403;
    const int address = model_address_of(w->peers[i]);
    n += !fresh[address] && !model_permits(c, address);
    fresh[address] = true;
  }
  return full && n > PERMITS ? 508 : 0;
}
