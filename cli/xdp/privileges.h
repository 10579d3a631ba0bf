/* SPDX-License-Identifier: Apache-2.0 */
/* What loading BPF programs takes, and relaying does not. */
#ifndef XDP_PRIVILEGES_H
#define XDP_PRIVILEGES_H

#include <stdbool.h>

/* Gives up CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN, for good, for the calling thread and those that it starts. */
void privileges_drop(void);

/* Whether the kernel spares this process's programs its barriers against speculative execution: CAP_PERFMON, or CAP_SYS_ADMIN. */
bool privileges_speculate(void);

#endif
