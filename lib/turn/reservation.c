/* SPDX-License-Identifier: Apache-2.0 */
#include "reservation.h"

#include "../base/bytes.h"

/* From the highest bit on: FZRI_TOKEN, 46 random bits, the family, and the port, which the client knows anyway. */
int fzri_reservation_make(fzr_engine *e, fzri_extra *extra, uint16_t port, uint8_t family)
{
  uint64_t random;
  if (e->random(e->random_ctx, (uint8_t *)&random, sizeof random))
    return FZR_ERR_NO_RANDOM;
  extra->token =
      FZRI_TOKEN | (random & ~(uint64_t)0x1ffff) | (uint64_t)(family == FZR_FAMILY_IPV6) << 16 | port;
  fzri_shared_reserve_port(e->shared, port, extra->token);
  fzri_timers_set(&e->reservation_timers, &extra->timer, e->now + FZRI_RESERVATION_LASTS);
  return 0;
}

/* Of two who try to end or to claim it, one does. */
static void give_back(fzr_engine *e, const fzri_extra *extra)
{
  const uint16_t port = fzri_token_port(extra->token);
  if (fzri_shared_claim_port(e->shared, port, extra->token))
    fzri_shared_give_port(e->shared, port, e->now);
}

void fzri_reservation_end(fzr_engine *e, fzri_extra *extra)
{
  if (!fzri_timer_is_set(&extra->timer))
    return;
  fzri_timers_cancel(&e->reservation_timers, &extra->timer);
  give_back(e, extra);
}

size_t fzri_reservations_expire(fzr_engine *e, size_t budget)
{
  const size_t before = budget;
  fzri_timer *timer;
  while ((timer = fzri_timers_pop(&e->reservation_timers, e->now, &budget)) != NULL)
    give_back(e, (fzri_extra *)(void *)((char *)timer - offsetof(fzri_extra, timer)));
  return before - budget;
}

uint64_t fzri_token_read(const uint8_t in[FZRI_TOKEN_LEN])
{
  const uint64_t token = (uint64_t)fzri_get32(in) << 32 | fzri_get32(in + 4);
  return token & FZRI_TOKEN ? token : 0;
}

void fzri_token_write(uint64_t token, uint8_t out[FZRI_TOKEN_LEN])
{
  fzri_put32(out, (uint32_t)(token >> 32));
  fzri_put32(out + 4, (uint32_t)token);
}
