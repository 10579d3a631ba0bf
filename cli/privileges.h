/* SPDX-License-Identifier: Apache-2.0 */
/* What loading BPF programs takes, and relaying does not. */
#ifndef RELAY_PRIVILEGES_H
#define RELAY_PRIVILEGES_H

/* Gives up CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN, for good, for the calling thread and those that it starts. */
void privileges_drop(void);

#endif
