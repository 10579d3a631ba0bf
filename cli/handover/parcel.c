/* SPDX-License-Identifier: Apache-2.0 */
#include "handover/parcel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sockets of allocations that a worker can have: all ports of both families. */
#define PORTS_MAX 131072u
/* Connections that a worker can have: as many as a process may have descriptors (fs.nr_open, as it comes). */
#define CONNECTIONS_MAX (1u << 20)
/* TCP and TLS, of both families. */
#define STREAM_LISTENERS_MAX 4u
/* Programs, maps and links. */
#define OFFLOAD_MAX 32u

static size_t most_of(enum handover_kind kind)
{
  switch (kind) {
  case HANDOVER_PORTS:
    return PORTS_MAX;
  case HANDOVER_CONNECTIONS:
    return CONNECTIONS_MAX;
  case HANDOVER_STREAM_LISTEN:
    return STREAM_LISTENERS_MAX;
  case HANDOVER_LISTEN:
  case HANDOVER_CONTROL:
    return 2;
  case HANDOVER_OFFLOAD:
    return OFFLOAD_MAX;
  default:
    return 1;
  }
}

/* One that was made for the hand-over alone. */
static bool is_file(unsigned kind)
{
  return kind == HANDOVER_STATE || kind == HANDOVER_QUEUES || kind == HANDOVER_STREAMS;
}

bool handover_parcel_init(handover_parcel *p, unsigned workers, bool borrowed)
{
  memset(p, 0, sizeof *p);
  p->workers = calloc(workers, sizeof *p->workers);
  p->count = p->workers ? workers : 0;
  p->borrowed = borrowed;
  return p->workers != NULL;
}

handover_fds *handover_parcel_fds(handover_parcel *p, enum handover_kind kind, unsigned worker)
{
  if (kind == HANDOVER_HEALTH)
    return &p->health;
  if (kind == HANDOVER_CONTROL)
    return &p->control;
  if (kind == HANDOVER_OFFLOAD)
    return &p->offload;
  return &p->workers[worker].of[kind];
}

bool handover_parcel_add(handover_parcel *p, enum handover_kind kind, unsigned worker, const int *fds,
                         size_t n)
{
  if (kind < HANDOVER_STATE || kind >= HANDOVER_KINDS || worker >= p->count)
    return false;
  handover_fds *to = handover_parcel_fds(p, kind, worker);
  if (n > most_of(kind) - to->count)
    return false;
  if (to->count + n > to->room) {
    const size_t room = 2 * (to->count + n);
    int *each = realloc(to->each, room * sizeof *each);
    if (!each)
      return false;
    to->each = each;
    to->room = room;
  }
  memcpy(to->each + to->count, fds, n * sizeof *fds);
  to->count += n;
  return true;
}

void handover_fds_free(handover_fds *fds)
{
  free(fds->each);
  memset(fds, 0, sizeof *fds);
}

uint32_t handover_parcel_count(const handover_parcel *p)
{
  size_t n = p->health.count + p->control.count + p->offload.count;
  for (unsigned i = 0; i < p->count; i++)
    for (unsigned kind = HANDOVER_STATE; kind < HANDOVER_KINDS; kind++)
      n += p->workers[i].of[kind].count;
  return (uint32_t)n;
}

bool handover_parcel_all_have(const handover_parcel *p, enum handover_kind kind)
{
  for (unsigned i = 0; i < p->count; i++)
    if (!p->workers[i].of[kind].count)
      return false;
  return true;
}

static void drop_fds(handover_fds *fds, bool close_them)
{
  for (size_t i = 0; close_them && i < fds->count; i++)
    close(fds->each[i]);
  handover_fds_free(fds);
}

void handover_parcel_drop(handover_parcel *p)
{
  for (unsigned i = 0; i < p->count; i++)
    for (unsigned kind = HANDOVER_STATE; kind < HANDOVER_KINDS; kind++)
      drop_fds(&p->workers[i].of[kind], !p->borrowed || is_file(kind));
  drop_fds(&p->health, !p->borrowed);
  drop_fds(&p->control, !p->borrowed);
  drop_fds(&p->offload, !p->borrowed);
  free(p->workers);
  memset(p, 0, sizeof *p);
}
