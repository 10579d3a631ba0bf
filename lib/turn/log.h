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

#endif
