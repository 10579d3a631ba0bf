/* SPDX-License-Identifier: Apache-2.0 */
#include "allocation.h"
#include "answer.h"
#include "handlers.h"
#include "log.h"

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
    fzri_allocation_end(e, a);
}

/* Refresh (RFC 8656 section 8.2). Firezone's clients send REQUESTED-TRANSPORT and ADDITIONAL-ADDRESS-FAMILY along, which
 * mean nothing here. */
void fzri_handle_refresh(fzr_engine *e, fzri_request *r)
{
  fzri_reply reply;
  uint32_t lifetime;
  uint8_t family;
  fzri_allocation *a = fzri_request_allocation(e, r);
  if (!a)
    return;
  unsigned code = fzri_request_lifetime(e, r, &lifetime);
  if (!code)
    code = read_family(r, a, &family);
  if (code) {
    fzri_answer_error(e, r, code);
    return;
  }
  fzri_request_succeeds(e, r, a);
  fzri_answer_begin(e, r, &reply);
  fzr_stun_add_u32(&reply.builder, FZR_ATTR_LIFETIME, lifetime);
  fzri_answer_success(e, r, &reply);
  if (fzri_log_wants(e, FZR_LOG_INFO)) {
    const bool lives_on = lifetime || drops_one_family(a, family);
    fzr_log_record record = fzri_log_request(
        e, FZR_LOG_INFO, lives_on ? FZR_LOG_ALLOCATION_REFRESHED : FZR_LOG_ALLOCATION_DELETED, r);
    record.lifetime = lifetime;
    e->log(e->log_ctx, &record);
  }
  apply(e, a, family, lifetime);
}
