/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

#include "log.h"

/* A record of a handshake begins with its type, 22, and the version: 3.x in TLS, 254.x in DTLS (RFC 8446 section 5.1, RFC 9147
 * section 4). */
static bool is_greeting(const uint8_t *data, uint32_t len)
{
  return len >= 3 && data[0] == 22 && (data[1] == 3 || data[1] == 254);
}

enum fzr_drop_reason fzri_foreign_take(fzr_engine *e, const uint8_t *data, uint32_t len, const fzr_addr *from)
{
  if (!is_greeting(data, len))
    return FZR_DROP_NOT_STUN;
  if (fzri_log_wants(e, FZR_LOG_INFO) && fzri_told_tls(e->told, e->now)) {
    fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, FZR_LOG_TLS_GREETING);
    record.client = from;
    e->log(e->log_ctx, &record);
  }
  return FZR_DROP_TLS;
}
