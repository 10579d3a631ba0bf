/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_parcel.h"

#include "common/clock.h"
#include "handover/queues.h"
#include "log/log.h"

#include "firezone_relay/save.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- giving ---- */

static int put_state(void *ctx, const uint8_t *data, size_t len)
{
  handover_file_put(ctx, data, len);
  return 0;
}

/* Puts the file, once it is sealed, into |p|. Returns whether it is there. */
static bool add_file(handover_parcel *p, enum handover_kind kind, unsigned index, handover_file *file)
{
  const int fd = handover_file_seal(file);
  if (fd >= 0 && handover_parcel_add(p, kind, index, &fd, 1))
    return true;
  if (fd >= 0)
    close(fd);
  return false;
}

static bool add_sockets(handover_parcel *p, unsigned index, const fzr_udp *udp, uint64_t shown)
{
  fzr_udp_socket sockets[64];
  uint32_t cursor = 0;
  size_t n;
  while ((n = fzr_udp_list_sockets(udp, &cursor, sockets, sizeof sockets / sizeof *sockets)) > 0)
    for (size_t i = 0; i < n; i++)
      if (sockets[i].serial > shown &&
          !handover_parcel_add(p, sockets[i].listens ? HANDOVER_LISTEN : HANDOVER_PORTS, index,
                               &sockets[i].fd, 1))
        return false;
  return true;
}

const char *worker_parcel_fill(handover_parcel *p, unsigned index, const fzr_engine *engine,
                               const fzr_udp *udp, uint64_t shown, const fzr_udp_stats *before)
{
  static const char no_file[] = "can't keep the state in memory: the limit of memory or of open files";
  const fzr_time now = monotonic_now();
  p->workers[index].saved_at = now;
  handover_file *state = handover_file_new("relay-state");
  if (state)
    fzr_engine_save(engine, put_state, state, now);
  if (!state || !add_file(p, HANDOVER_STATE, index, state))
    return no_file;
  handover_file *queues = handover_file_new("relay-queues");
  if (queues)
    handover_queues_write(queues, udp, before);
  if (!queues || !add_file(p, HANDOVER_QUEUES, index, queues))
    return no_file;
  return add_sockets(p, index, udp, shown) ? NULL : "out of memory";
}

/* ---- taking ---- */

/* What is adopted is taken out of |p|. */
static int adopt_ports(handover_parcel *p, unsigned index, fzr_udp *udp)
{
  handover_fds *ports = handover_parcel_fds(p, HANDOVER_PORTS, index);
  while (ports->count) {
    const int error = fzr_udp_adopt_port(udp, ports->each[ports->count - 1]);
    if (error)
      return error;
    ports->count--;
  }
  handover_fds_free(ports);
  return 0;
}

int worker_parcel_adopt(handover_parcel *p, unsigned index, const fzr_udp_config *config, fzr_udp **out,
                        int *sys_errno)
{
  handover_fds *listen = handover_parcel_fds(p, HANDOVER_LISTEN, index);
  fzr_udp_socket sockets[2] = {{.fd = -1}};
  for (size_t i = 0; i < listen->count; i++)
    sockets[i].fd = listen->each[i];
  int error = fzr_udp_adopt(config, sockets, listen->count, out, sys_errno);
  if (error)
    return error;
  listen->count = 0; /* the adapter's now */
  error = adopt_ports(p, index, *out);
  if (!error)
    return 0;
  *sys_errno = errno;
  fzr_udp_free(*out);
  *out = NULL;
  return error;
}

/* What the operator is to change. */
static void explain(int result, const fzr_load_result *found, char *error)
{
  char addr[FZR_ADDR_TEXT_MAX] = "";
  fzr_addr_format(&found->address, false, addr, sizeof addr);
  if (result == FZR_ERR_STATE_ADDRESS)
    snprintf(error, OPTIONS_ERROR_MAX,
             "there are allocations at %s, which this relay does not have as its public address", addr);
  else if (result == FZR_ERR_STATE_PORT)
    snprintf(error, OPTIONS_ERROR_MAX,
             "there is an allocation at port %u, which is not from --lowest-port to --highest-port",
             found->port);
  else if (result == FZR_ERR_STATE_LIMIT)
    snprintf(error, OPTIONS_ERROR_MAX, "there are more channels and permissions than --max-channels");
  else
    snprintf(error, OPTIONS_ERROR_MAX, "can't go on from the state: %s, at byte %llu", fzr_strerror(result),
             (unsigned long long)found->offset);
}

static int load_engine(handover_parcel *p, unsigned index, fzr_driver *driver, char *error)
{
  const handover_fds *file = handover_parcel_fds(p, HANDOVER_STATE, index);
  const uint8_t *data;
  fzr_load_result found;
  size_t len;
  if (!handover_file_map(file->each[0], &data, &len)) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't read the state: %s", strerror(errno));
    return -1;
  }
  const int result =
      fzr_engine_load(fzr_driver_engine(driver), data, len, p->workers[index].saved_at, &found);
  handover_file_unmap(data, len);
  if (!result)
    return 0;
  explain(result, &found, error);
  return -1;
}

static void keep_waiting(void *ctx, const fzr_udp_unsent *unsent)
{
  fzr_udp_adopt_unsent(ctx, unsent, monotonic_now()); /* what does not fit is counted */
}

static void load_queues(handover_parcel *p, unsigned index, fzr_udp *udp, fzr_udp_stats *before)
{
  const handover_fds *file = handover_parcel_fds(p, HANDOVER_QUEUES, index);
  const uint8_t *data;
  size_t len;
  if (!file->count || !handover_file_map(file->each[0], &data, &len))
    return;
  if (!handover_queues_read(data, len, before, keep_waiting, udp))
    log_warn("relay", "What waited to be sent when worker %u was handed over can't be read, and is lost",
             index);
  handover_file_unmap(data, len);
}

int worker_parcel_load(handover_parcel *p, unsigned index, fzr_driver *driver, fzr_udp *udp,
                       fzr_udp_stats *before, char error[OPTIONS_ERROR_MAX])
{
  const int result = adopt_ports(p, index, udp);
  if (result) {
    snprintf(error, OPTIONS_ERROR_MAX, "can't use the sockets of worker %u: %s", index, fzr_strerror(result));
    return -1;
  }
  if (load_engine(p, index, driver, error))
    return -1;
  load_queues(p, index, udp, before);
  return 0;
}
