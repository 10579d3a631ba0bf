/* SPDX-License-Identifier: Apache-2.0 */
/* Probes a relay: over each family of its addresses, and for each that it relays to. What is found is written as it is found, and ends with the
 * one line of what is wrong, or that nothing is. */
#ifndef PROBE_RUN_H
#define PROBE_RUN_H

#include "client.h"
#include "facts.h"

#include <stdio.h>

typedef struct probe_settings {
  const char *name; /* of the relay, as it was given */
  probe_target target;
  const char *ca_file; /* NULL: the system's authorities */
  bool insecure;
  const char *realm; /* that is expected; NULL: any */
  bool is_made;      /* see probe_plan */
  const char *other;
  void *ctx; /* what |login| is called with: see probe_ops */
  bool (*login)(void *ctx, enum probe_login_kind kind, probe_login *out);
} probe_settings;

/* Returns the exit status. */
int probe_run(const probe_settings *settings, FILE *out);

#endif
