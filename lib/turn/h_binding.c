/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "log.h"

/* Binding (RFC 8489 section 12.1): the address that the request came from. The answer is 32 or 44 bytes to a request of at least 20:
 * it goes to strangers, whose address may be forged, so it has SOFTWARE only where the request makes up for that. */
void fzri_handle_binding(fzr_engine *e, fzri_request *r)
{
  fzri_reply reply;
  if (r->msg.unknown_count) {
    fzri_answer_unknown(e, r, r->msg.unknown,
                        r->msg.unknown_count < FZR_STUN_UNKNOWN_MAX ? r->msg.unknown_count
                                                                    : FZR_STUN_UNKNOWN_MAX);
    return;
  }
  fzri_answer_begin(e, r, &reply);
  fzr_stun_add_addr(&reply.builder, FZR_ATTR_XOR_MAPPED_ADDRESS, r->from);
  fzri_answer_success(e, r, &reply);
  if (fzri_log_wants(e, FZR_LOG_DEBUG)) {
    const fzr_log_record record = fzri_log_request(e, FZR_LOG_DEBUG, FZR_LOG_REQUEST, r);
    e->log(e->log_ctx, &record);
  }
}
