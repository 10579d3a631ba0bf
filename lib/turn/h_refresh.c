/* SPDX-License-Identifier: Apache-2.0 */
#include "allocation.h"
#include "answer.h"
#include "handlers.h"
#include "log.h"
#include "mobility.h"

/* REQUESTED-ADDRESS-FAMILY limits a Refresh to one of an allocation's addresses. Returns 0 with the family or
 * FZR_FAMILY_NONE in *|family|, or the error code. */
static unsigned read_family(fzri_request *r, const fzri_allocation *a, uint8_t *family)
{
  uint32_t value;
  *family = FZR_FAMILY_NONE;
  if (!fzr_stun_has(&r->msg, FZR_ATTR_REQUESTED_ADDRESS_FAMILY))
    return 0;
  if (!fzr_stun_get_u32(&r->msg, FZR_ATTR_REQUESTED_ADDRESS_FAMILY, &value))
    return fzri_refuse_attribute(r, FZR_ATTR_REQUESTED_ADDRESS_FAMILY);
  *family = (uint8_t)(value >> 24);
  return a->families & fzri_family_bit(*family) ? 0 : 443;
}

/* Whether a lifetime of 0 ends only one of two relayed addresses. */
static bool drops_one_family(const fzri_allocation *a, uint8_t family)
{
  return family && a->families != fzri_family_bit(family);
}

static void apply(fzr_engine *e, fzri_allocation *a, uint8_t family, uint32_t lifetime)
{
  if (lifetime)
    fzri_allocation_set_expiry(e, a, e->now + lifetime * FZR_SECOND + FZRI_GRACE);
  else if (drops_one_family(a, family))
    fzri_allocation_drop_family(e, a, family);
  else
    fzri_allocation_end(e, a, FZR_END_CLIENT);
}

/* Reads what |r| asks for. Returns 0 or the error code. */
static unsigned read_refresh(fzr_engine *e, fzri_request *r, const fzri_allocation *a, uint8_t *family,
                             uint32_t *lifetime)
{
  const unsigned code = fzri_request_lifetime(e, r, lifetime);
  return code ? code : read_family(r, a, family);
}

static void answer_refreshed(fzr_engine *e, const fzri_request *r, const fzri_allocation *a,
                             uint32_t lifetime)
{
  fzri_reply reply;
  fzri_answer_begin(e, r, &reply);
  fzr_stun_add_u32(&reply.builder, FZR_ATTR_LIFETIME, lifetime);
  if (r->ticket)
    fzri_mobility_add_ticket(e, &reply.builder, a);
  fzri_answer_success(e, r, &reply);
}

static void log_refreshed(const fzr_engine *e, const fzri_request *r, uint32_t lifetime, bool lives_on)
{
  if (!fzri_log_wants(e, FZR_LOG_INFO))
    return;
  fzr_log_record record = fzri_log_request(
      e, FZR_LOG_INFO, lives_on ? FZR_LOG_ALLOCATION_REFRESHED : FZR_LOG_ALLOCATION_DELETED, r);
  record.lifetime = lifetime;
  e->log(e->log_ctx, &record);
}

/* Refresh (RFC 8656 section 8.2, RFC 8016 section 3.2.2). Firezone's clients send REQUESTED-TRANSPORT and ADDITIONAL-ADDRESS-FAMILY along,
 * which mean nothing here. */
void fzri_handle_refresh(fzr_engine *e, fzri_request *r)
{
  uint32_t lifetime;
  uint8_t family;
  unsigned code = fzri_mobility_check_refresh(e, r);
  if (code) {
    fzri_answer_error(e, r, code);
    return;
  }
  fzri_allocation *a = fzri_request_allocation(e, r);
  if (!a)
    return;
  code = read_refresh(e, r, a, &family, &lifetime);
  if (!code && fzri_mobility_moves(r))
    code = fzri_mobility_move(e, r, a);
  if (code == FZRI_MOVE_LATER)
    return;
  if (code) {
    fzri_answer_error(e, r, code);
    return;
  }
  fzri_request_succeeds(e, r, a);
  answer_refreshed(e, r, a, lifetime);
  log_refreshed(e, r, lifetime, lifetime || drops_one_family(a, family));
  /* One that has come before, perhaps from somebody else who has heard it, changes nothing. */
  if (r->ticket != FZRI_TICKET_USED)
    apply(e, a, family, lifetime);
}
