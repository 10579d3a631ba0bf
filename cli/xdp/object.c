/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include "firezone_relay/firezone_relay.h"
#include "log/log.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Made by embed.py. */
extern const unsigned char fzx_xdp_object[], fzx_tcx_object[];
extern const size_t fzx_xdp_object_len, fzx_tcx_object_len;

const char *fzx_passed_name(unsigned reason)
{
  static const char *const names[FZX_PASSED_REASONS] = {
      [FZX_PASSED_NOT_UDP] = "not_udp",
      [FZX_PASSED_VLAN] = "vlan",
      [FZX_PASSED_GROUP] = "group_address",
      [FZX_PASSED_OPTIONS] = "ip_options",
      [FZX_PASSED_FRAGMENT] = "fragment",
      [FZX_PASSED_PORT] = "other_port",
      [FZX_PASSED_NOT_CHANNEL_DATA] = "not_channel_data",
      [FZX_PASSED_CHANNEL_LENGTH] = "channel_length",
      [FZX_PASSED_LENGTH] = "length",
      [FZX_PASSED_NOT_LINEAR] = "not_linear",
      [FZX_PASSED_TTL] = "ttl",
      [FZX_PASSED_IP_CHECKSUM] = "ip_checksum",
      [FZX_PASSED_UNFINISHED] = "unfinished_checksum",
      [FZX_PASSED_NO_CHECKSUM] = "no_checksum",
      [FZX_PASSED_NO_ENTRY] = "no_entry",
      [FZX_PASSED_CHANGED] = "entry_changed",
      [FZX_PASSED_DESTINATION] = "other_destination",
      [FZX_PASSED_SHORT] = "short_frame",
      [FZX_PASSED_MTU] = "mtu",
      [FZX_PASSED_NO_FORWARDING] = "forwarding_off",
      [FZX_PASSED_NO_NEIGHBOUR] = "no_neighbour",
      [FZX_PASSED_NO_ROUTE] = "no_route",
      [FZX_PASSED_INTERFACE] = "other_interface",
      [FZX_PASSED_NO_HEADROOM] = "no_headroom",
      [FZX_PASSED_RUN] = "run",
  };
  return reason < FZX_PASSED_REASONS ? names[reason] : "other";
}

unsigned fzx_drop_reason(unsigned reason)
{
  static const unsigned reasons[FZX_DROPPED_REASONS] = {
      [FZX_DROPPED_SOURCE_PORT] = FZR_DROP_SOURCE_PORT_ZERO,
      [FZX_DROPPED_NOT_STUN] = FZR_DROP_NOT_STUN,
      [FZX_DROPPED_STUN_TRUNCATED] = FZR_DROP_STUN_TRUNCATED,
      [FZX_DROPPED_STUN_COOKIE] = FZR_DROP_STUN_COOKIE,
      [FZX_DROPPED_STUN_LENGTH] = FZR_DROP_STUN_LENGTH,
      [FZX_DROPPED_STUN_NOT_REQUEST] = FZR_DROP_STUN_NOT_REQUEST,
      [FZX_DROPPED_CHANNEL_TRUNCATED] = FZR_DROP_CHANNEL_DATA_TRUNCATED,
      [FZX_DROPPED_UNKNOWN_CLIENT] = FZR_DROP_UNKNOWN_CLIENT,
      [FZX_DROPPED_UNKNOWN_PEER] = FZR_DROP_UNKNOWN_PEER,
      [FZX_DROPPED_RATE_LIMITED] = FZR_DROP_RATE_LIMITED,
  };
  return reason < FZX_DROPPED_REASONS ? reasons[reason] : FZR_DROP_NONE;
}

static int to_log(enum libbpf_print_level level, const char *format, va_list args)
{
  char line[1024];
  (void)level;
  if (!log_enabled(FZR_LOG_DEBUG, "xdp"))
    return 0;
  vsnprintf(line, sizeof line, format, args);
  line[strcspn(line, "\n")] = 0;
  log_debug("xdp", "%s", line);
  return 0;
}

static int find_map(const struct bpf_object *object, const char *name)
{
  return bpf_object__find_map_fd_by_name(object, name);
}

/* Everything that has to be said before the object is loaded. */
static int prepare(struct bpf_object *object, const xdp_object_config *config)
{
  static const char *const maps[] = {"fzx_clients4", "fzx_clients6", "fzx_peers4",
                                     "fzx_peers6",   "fzx_known4",   "fzx_known6"};
  struct bpf_program *program = bpf_object__find_program_by_name(object, "fzx_relay");
  struct bpf_map *settings = bpf_object__find_map_by_name(object, ".rodata.settings");
  if (!program || !settings)
    return -EINVAL;
  const int unset = bpf_map__set_initial_value(settings, &config->settings, sizeof config->settings);
  if (unset)
    return unset;
  for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
    struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i]);
    const int error = map ? bpf_map__set_max_entries(map, config->entries) : -EINVAL;
    if (error)
      return error;
  }
  bpf_object__for_each_program(program, object)
  {
    const uint32_t flags = bpf_program__flags(program);
    const int error =
        config->no_frags ? bpf_program__set_flags(program, flags & ~(uint32_t)BPF_F_XDP_HAS_FRAGS) : 0;
    if (error)
      return error;
  }
  return 0;
}

int xdp_object_load(const xdp_object_config *config, xdp_object *out)
{
  memset(out, 0, sizeof *out);
  libbpf_set_print(to_log);
  const struct bpf_object_open_opts opts = {.sz = sizeof opts, .object_name = "fzx"};
  const bool tcx = config->hook == XDP_HOOK_TCX;
  struct bpf_object *object = bpf_object__open_mem(tcx ? fzx_tcx_object : fzx_xdp_object,
                                                   tcx ? fzx_tcx_object_len : fzx_xdp_object_len, &opts);
  if (!object)
    return errno ? -errno : -EINVAL;
  int error = prepare(object, config);
  if (!error)
    error = bpf_object__load(object);
  if (error) {
    bpf_object__close(object);
    return error;
  }
  out->object = object;
  out->program = bpf_program__fd(bpf_object__find_program_by_name(object, "fzx_relay"));
  out->clients4 = find_map(object, "fzx_clients4");
  out->clients6 = find_map(object, "fzx_clients6");
  out->peers4 = find_map(object, "fzx_peers4");
  out->peers6 = find_map(object, "fzx_peers6");
  out->targets = find_map(object, "fzx_targets");
  out->counters = find_map(object, "fzx_counters");
  out->passed = find_map(object, "fzx_passed");
  struct bpf_program *probe = bpf_object__find_program_by_name(object, "fzx_probe");
  out->probe = probe ? bpf_program__fd(probe) : -1;
  out->heads = find_map(object, "fzx_heads");
  out->own = find_map(object, "fzx_own");
  out->known4 = find_map(object, "fzx_known4");
  out->known6 = find_map(object, "fzx_known6");
  out->ports = find_map(object, "fzx_ports");
  out->dropped = find_map(object, "fzx_dropped");
  return 0;
}

/* FNV-1a: nobody makes two of the same on purpose. */
static uint64_t mix(uint64_t mark, const void *data, size_t len)
{
  const uint8_t *bytes = data;
  for (size_t i = 0; i < len; i++)
    mark = (mark ^ bytes[i]) * 0x100000001b3u;
  return mark;
}

uint64_t xdp_object_mark(const xdp_object_config *config)
{
  const bool tcx = config->hook == XDP_HOOK_TCX;
  uint64_t mark = mix(0xcbf29ce484222325u, tcx ? fzx_tcx_object : fzx_xdp_object,
                      tcx ? fzx_tcx_object_len : fzx_xdp_object_len);
  mark = mix(mark, &config->settings, sizeof config->settings);
  mark = mix(mark, &config->entries, sizeof config->entries);
  return mix(mark, &config->no_frags, sizeof config->no_frags);
}

static int *descriptor(xdp_object *o, size_t i)
{
  int *const all[XDP_OBJECT_FDS] = {&o->program, &o->clients4, &o->clients6, &o->peers4, &o->peers6,
                                    &o->targets, &o->counters, &o->passed,   &o->dropped};
  return all[i];
}

void xdp_object_adopt(xdp_object *out, const int fds[XDP_OBJECT_FDS])
{
  memset(out, 0, sizeof *out);
  out->adopted = true;
  for (size_t i = 0; i < XDP_OBJECT_FDS; i++)
    *descriptor(out, i) = fds[i];
}

void xdp_object_fds(const xdp_object *object, int out[XDP_OBJECT_FDS])
{
  xdp_object copy = *object;
  for (size_t i = 0; i < XDP_OBJECT_FDS; i++)
    out[i] = *descriptor(&copy, i);
}

void xdp_object_free(xdp_object *object)
{
  for (size_t i = 0; object->adopted && i < XDP_OBJECT_FDS; i++)
    close(*descriptor(object, i));
  object->adopted = false;
  bpf_object__close(object->object);
  object->object = NULL;
}

/* Reads one element of a per-CPU array, |words| numbers of 64 bits for each CPU, and adds them up. */
static int add_up(int map, uint32_t index, unsigned words, uint64_t *out)
{
  const int cpus = libbpf_num_possible_cpus();
  memset(out, 0, words * sizeof *out);
  if (cpus < 0)
    return cpus;
  uint64_t *values = calloc((size_t)cpus * words, sizeof *values);
  if (!values)
    return -ENOMEM;
  const int error = bpf_map_lookup_elem(map, &index, values);
  for (size_t i = 0; !error && i < (size_t)cpus * words; i++)
    out[i % words] += values[i];
  free(values);
  return error;
}

int xdp_object_counter(const xdp_object *object, uint32_t index, struct fzx_counter *out)
{
  uint64_t sums[2];
  const int error = add_up(object->counters, index, 2, sums);
  out->packets = sums[0];
  out->bytes = sums[1];
  return error;
}

int xdp_object_passed(const xdp_object *object, uint32_t reason, uint64_t *out)
{
  return add_up(object->passed, reason, 1, out);
}

int xdp_object_dropped(const xdp_object *object, uint32_t reason, uint64_t *out)
{
  return add_up(object->dropped, reason, 1, out);
}

void xdp_object_sums(const xdp_object *object, xdp_sums *out)
{
  for (uint32_t i = 0; i < FZX_DIRECTIONS * FZX_SIZE_CLASSES; i++)
    xdp_object_counter(object, i, &out->counters[i]);
  for (uint32_t i = 0; i < FZX_PASSED_REASONS; i++)
    xdp_object_passed(object, i, &out->passed[i]);
  for (uint32_t i = 0; i < FZX_DROPPED_REASONS; i++)
    xdp_object_dropped(object, i, &out->dropped[i]);
}

/* Adds |more|, |words| numbers, to what the first CPU has in element |index|. What is counted in between is lost. */
static void add_to(int map, uint32_t index, unsigned words, const uint64_t *more)
{
  const int cpus = libbpf_num_possible_cpus();
  uint64_t *values = cpus > 0 && more[0] ? calloc((size_t)cpus * words, sizeof *values) : NULL;
  if (!values)
    return;
  if (!bpf_map_lookup_elem(map, &index, values)) {
    for (unsigned i = 0; i < words; i++)
      values[i] += more[i];
    bpf_map_update_elem(map, &index, values, BPF_ANY);
  }
  free(values);
}

void xdp_object_add(const xdp_object *object, const xdp_sums *now, const xdp_sums *before)
{
  for (uint32_t i = 0; i < FZX_DIRECTIONS * FZX_SIZE_CLASSES; i++) {
    const uint64_t more[] = {now->counters[i].packets - before->counters[i].packets,
                             now->counters[i].bytes - before->counters[i].bytes};
    add_to(object->counters, i, 2, more);
  }
  for (uint32_t i = 0; i < FZX_PASSED_REASONS; i++) {
    const uint64_t more = now->passed[i] - before->passed[i];
    add_to(object->passed, i, 1, &more);
  }
  for (uint32_t i = 0; i < FZX_DROPPED_REASONS; i++) {
    const uint64_t more = now->dropped[i] - before->dropped[i];
    add_to(object->dropped, i, 1, &more);
  }
}
