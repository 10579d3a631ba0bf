/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's own HTTP listeners: health and metrics on one address, control on another. */
#ifndef RELAY_ENDPOINTS_H
#define RELAY_ENDPOINTS_H

#include "handover/parcel.h"
#include "http/control.h"
#include "http/health.h"
#include "http/local.h"
#include "options.h"
#include "sessions_control.h"
#include "telemetry/telemetry.h"

typedef struct endpoints {
  http_server *health_server;
  http_server *control_server; /* by TCP; NULL: there is none */
  http_server *local_server;   /* --control-socket; likewise */
  const char *local_path;
  http_local_file local_file; /* what is there */
  gid_t local_group;          /* who may open it, too; -1: nobody */
  bool adopted;               /* it is of another process, whose it stays until |begun| */
  bool begun;                 /* that one has ended: see endpoints_begin */
  bool gave;                  /* another process has them now */
  struct health *health;
  struct control *control, *local_control;
  fzr_time told;            /* that descriptors are short; 0: not yet */
  unsigned long long ended; /* connections, for that, since */
} endpoints;

/* What they tell of, and whom they tell. */
typedef struct endpoints_config {
  const options *options;
  struct event_base *base;
  health_source health;
  sessions_source sessions;
  telemetry *telemetry;
  void (*filter_changed)(void *ctx); /* called with health.ctx when the log's filter was changed */
} endpoints_config;

/* Opens those that |config|, which has to stay, asks for. Returns 0, or -1 with one line in |error|; endpoints_close is due in both cases. Listeners
 * are taken out of |inherited|, which may be NULL, where they are on the addresses that are asked for. */
int endpoints_open(endpoints *e, const endpoints_config *config, handover_parcel *inherited,
                   char error[OPTIONS_ERROR_MAX]);

/* This process is the relay now, and what another one has had in the file system is its: what was not taken out of |inherited| is removed there,
 * and what was is for those whom the options name. */
void endpoints_begin(endpoints *e, const handover_parcel *inherited);

/* The ports that they have: health, control (0: none). */
void endpoints_ports(const endpoints *e, uint16_t out[2]);

/* Their listeners, which stay theirs. Returns how many of control there are. */
#define ENDPOINTS_CONTROL 2
size_t endpoints_give(const endpoints *e, int *health, int control[ENDPOINTS_CONTROL]);

/* Accepts nothing more: what comes waits for another process that has the same listeners. */
void endpoints_refuse_new(endpoints *e);

/* Whether all connections have ended. */
bool endpoints_are_idle(const endpoints *e);

/* What is another process's, or may be, stays in the file system. */
void endpoints_close(endpoints *e);

#endif
