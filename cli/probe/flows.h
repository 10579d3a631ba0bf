/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a probe: the machine's ops, and what happens on them. For one machine at a time. */
#ifndef PROBE_FLOWS_H
#define PROBE_FLOWS_H

#include "machine.h"

#include "net/tls.h"

typedef struct probe_flows probe_flows;

/* Whom TLS is spoken with. It has to stay. */
typedef struct probe_tls_config {
  const char *host;
  bool host_is_ip;
  const net_trust *trust; /* NULL: no TLS is to be spoken */
  bool insecure;          /* any certificate will do */
} probe_tls_config;

/* NULL without memory. |tls| has to stay. */
probe_flows *probe_flows_new(const probe_tls_config *tls);
/* Closes all of them. NULL is fine. */
void probe_flows_free(probe_flows *f);

/* For probe_ops, whose ctx is |ctx|, a probe_flows. */
void probe_flows_open(void *ctx, enum probe_flow flow, probe_transport transport, const fzr_addr *to);
void probe_flows_send(void *ctx, enum probe_flow flow, const fzr_addr *to, const uint8_t *data, size_t len);

/* Tells |m| all that happens until it is done. Returns 0, or -1 with errno set if this host can't wait for it. */
int probe_flows_run(probe_flows *f, probe_machine *m);

#endif
