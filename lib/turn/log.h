/* SPDX-License-Identifier: Apache-2.0 */
/* Records for the application's log. The level is looked at before a record is made. */
#ifndef FZRI_LOG_H
#define FZRI_LOG_H

#include "request.h"

static inline bool fzri_log_wants(const fzr_engine *e, enum fzr_log_level level)
{
  return (unsigned)level <= e->log_level;
}

/* A record with the engine's time; the rest is the caller's to fill in. */
static inline fzr_log_record fzri_log_record(const fzr_engine *e, enum fzr_log_level level,
                                             enum fzr_log_event event)
{
  fzr_log_record record;
  memset(&record, 0, sizeof record);
  record.level = (uint8_t)level;
  record.event = (uint16_t)event;
  record.now = e->now;
  return record;
}

/* A record about an answered request: who asked what. */
static inline fzr_log_record fzri_log_request(const fzr_engine *e, enum fzr_log_level level,
                                              enum fzr_log_event event, const fzri_request *r)
{
  fzr_log_record record = fzri_log_record(e, level, event);
  record.method = r->msg.method;
  record.client = r->from;
  record.txid = fzr_stun_txid(&r->msg);
  record.username = r->username.value;
  record.username_len = r->username.len;
  record.software = r->software.value;
  record.software_len = r->software.len;
  record.port = r->allocation ? r->allocation->port : 0;
  record.channel = r->channel;
  record.peer = r->peer;
  return record;
}

/* Why record->peer may not be reached. |judged| has to last as long as |record|. */
static inline void fzri_log_judgement(fzr_log_record *record, const fzri_peer_judgement *judged)
{
  record->peer_reason = (uint8_t)judged->reason;
  record->peer_rule = judged->reason == FZR_PEER_DENIED ? judged->rule : NULL;
  record->peer_inner = record->peer && judged->about.family != record->peer->family ? &judged->about : NULL;
}

/* Tells that |peer| may not be reached any more, through |channel| (0: none) of |a|. */
static inline void fzri_log_revoked(const fzr_engine *e, enum fzr_log_event event, const fzri_allocation *a,
                                    const fzr_addr *peer, uint16_t channel, const fzri_peer_judgement *judged)
{
  if (!fzri_log_wants(e, FZR_LOG_INFO))
    return;
  fzr_log_record record = fzri_log_record(e, FZR_LOG_INFO, event);
  record.client = &a->client;
  record.peer = peer;
  record.port = a->port;
  record.channel = channel;
  fzri_log_judgement(&record, judged);
  e->log(e->log_ctx, &record);
}

#endif
