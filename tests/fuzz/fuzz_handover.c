/* SPDX-License-Identifier: Apache-2.0 */
/* What another process says in a hand-over: a message, or the file of a worker's queues. */
#include "fuzz.h"

#include "handover/message.h"
#include "handover/queues.h"

#include <string.h>

static void look_at(void *ctx, const fzr_udp_unsent *unsent)
{
  uint8_t *sum = ctx;
  FUZZ_CHECK(unsent->to.family == FZR_FAMILY_IPV4 || unsent->to.family == FZR_FAMILY_IPV6);
  FUZZ_CHECK(unsent->len <= UINT16_MAX);
  for (uint32_t i = 0; i < unsent->len; i++)
    *sum = (uint8_t)(*sum + unsent->data[i]);
}

static void read_message(const uint8_t *data, size_t size)
{
  handover_message m, again;
  uint8_t bytes[HANDOVER_MESSAGE_MAX];
  if (!handover_read(data, size, &m))
    return;
  FUZZ_CHECK(strlen(m.reason) < sizeof m.reason && strlen(m.version) < sizeof m.version);
  FUZZ_CHECK(m.type != HANDOVER_GIVE || (m.fds <= HANDOVER_FDS_MAX && m.worker < HANDOVER_WORKERS_MAX));
  /* What was read can be said again. */
  FUZZ_CHECK(handover_read(bytes, handover_write(&m, bytes), &again));
  FUZZ_CHECK(memcmp(&m, &again, sizeof m) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fzr_udp_stats stats;
  uint8_t sum = 0;
  read_message(data, size);
  handover_queues_read(data, size, &stats, look_at, &sum);
  return 0;
}
