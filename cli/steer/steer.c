/* SPDX-License-Identifier: Apache-2.0 */
#include "steer.h"

#include "firezone_relay/socket.h"
#include "fzs_shared.h"
#include "log/log.h"
#include "reserved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Made by embed.py. */
extern const unsigned char fzs_lookup_object[];
extern const size_t fzs_lookup_object_len;

/* What a port may have in a turn: half of what a turn reads. */
#define SHARE 512u
/* Of a socket that all allocations share, whatever net.core.rmem_max says: some ports' whole shares. */
#define RECEIVE_BUFFER (8 << 20)

typedef struct lane {
  steer *of;
  unsigned index;
} lane;

struct steer {
  struct fzs_settings settings;
  struct bpf_object *object;
  struct bpf_link *link;
  struct fzs_port *ports;
  struct fzs_worker *workers;
  size_t ports_bytes, workers_bytes;
  int sockets;
  int unread[2]; /* by family: nobody reads them */
  lane *lanes;
};

static void fail(char error[STEER_ERROR_MAX], const char *what, int number)
{
  snprintf(error, STEER_ERROR_MAX, "%s: %s%s", what, strerror(number),
           number == EPERM || number == EACCES ? " (it takes CAP_BPF and CAP_NET_ADMIN)" : "");
}

static int to_log(enum libbpf_print_level level, const char *format, va_list args)
{
  char line[1024];
  (void)level;
  if (!log_enabled(FZR_LOG_DEBUG, "relay"))
    return 0;
  vsnprintf(line, sizeof line, format, args);
  line[strcspn(line, "\n")] = 0;
  log_debug("relay", "%s", line);
  return 0;
}

static void *map_memory(const steer *s, const char *name, size_t bytes)
{
  const int fd = bpf_object__find_map_fd_by_name(s->object, name);
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static size_t whole_pages(size_t bytes)
{
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

/* Returns 0 or a negative errno. */
static int set_entries(const steer *s, const char *name, uint32_t entries)
{
  struct bpf_map *map = bpf_object__find_map_by_name(s->object, name);
  return map ? bpf_map__set_max_entries(map, entries) : -EINVAL;
}

static int load(steer *s)
{
  libbpf_set_print(to_log);
  const struct bpf_object_open_opts opts = {.sz = sizeof opts, .object_name = "fzs"};
  s->object = bpf_object__open_mem(fzs_lookup_object, fzs_lookup_object_len, &opts);
  if (!s->object)
    return errno ? -errno : -EINVAL;
  struct bpf_map *settings = bpf_object__find_map_by_name(s->object, ".rodata.settings");
  int error = settings ? bpf_map__set_initial_value(settings, &s->settings, sizeof s->settings) : -EINVAL;
  if (!error)
    error = set_entries(s, "fzs_ports", 2 * s->settings.ports);
  if (!error)
    error = set_entries(s, "fzs_workers", s->settings.workers);
  if (!error)
    error = set_entries(s, "fzs_sockets", 2 * (s->settings.workers + 1));
  if (!error)
    error = bpf_object__load(s->object);
  if (error)
    return error;
  s->sockets = bpf_object__find_map_fd_by_name(s->object, "fzs_sockets");
  s->ports_bytes = whole_pages((size_t)2 * s->settings.ports * sizeof *s->ports);
  s->workers_bytes = whole_pages(s->settings.workers * sizeof *s->workers);
  s->ports = map_memory(s, "fzs_ports", s->ports_bytes);
  s->workers = map_memory(s, "fzs_workers", s->workers_bytes);
  return s->ports && s->workers ? 0 : -errno;
}

/* Has |fd| be number |at| of those that are led to. Returns 0, or -1 with errno. */
static int put_socket(const steer *s, uint32_t at, int fd)
{
  const uint64_t value = (uint64_t)fd;
  return bpf_map_update_elem(s->sockets, &at, &value, BPF_ANY) ? -1 : 0;
}

/* A socket with as small a buffer as there is, which soon is full for ever. A kernel without the family has none. Where IPv6 has no ::1, the relay
 * can do without if it |needs| none. */
static int open_unread(steer *s, unsigned family, bool needs)
{
  static const uint8_t localhost4[4] = {127, 0, 0, 1}, localhost6[16] = {[15] = 1};
  const fzr_addr at = family ? fzr_addr_ipv6(localhost6, 0) : fzr_addr_ipv4(localhost4, 0);
  const int least = 1;
  fzr_sockaddr sa;
  const socklen_t len = fzr_addr_to_sockaddr(&at, &sa);
  const int fd = socket(family ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  s->unread[family] = fd;
  if (fd < 0 || bind(fd, &sa.any, len))
    return family && (errno == EAFNOSUPPORT || (errno == EADDRNOTAVAIL && !needs)) ? 0 : -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
  return put_socket(s, 2 * s->settings.workers + family, fd);
}

static int attach(steer *s)
{
  const int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (here < 0)
    return -errno;
  s->link = bpf_program__attach_netns(bpf_object__find_program_by_name(s->object, "fzs_lookup"), here);
  const int error = s->link ? 0 : -errno;
  close(here);
  return error;
}

static bool read_setting(const char *path, char *out, size_t room)
{
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : read(fd, out, room - 1);
  if (fd >= 0)
    close(fd);
  out[n > 0 ? n : 0] = 0;
  return n >= 0;
}

/* A port without a socket is anybody's: the kernel must not give it to a program that asks for any, whose packets would come here. */
static bool are_reserved(uint16_t lowest, uint16_t highest)
{
  char range[64], list[8192];
  return read_setting("/proc/sys/net/ipv4/ip_local_port_range", range, sizeof range) &&
         read_setting("/proc/sys/net/ipv4/ip_local_reserved_ports", list, sizeof list) &&
         reserved_all(range, list, lowest, highest);
}

steer *steer_open(uint16_t lowest, uint16_t highest, unsigned workers, bool ipv6, char error[STEER_ERROR_MAX])
{
  if (!are_reserved(lowest, highest)) {
    snprintf(error, STEER_ERROR_MAX,
             "the kernel may give ports %u to %u to other programs: sysctl -w "
             "net.ipv4.ip_local_reserved_ports=%u-%u, or have net.ipv4.ip_local_port_range end before them",
             lowest, highest, lowest, highest);
    return NULL;
  }
  steer *s = calloc(1, sizeof *s);
  lane *lanes = calloc(workers, sizeof *lanes);
  if (!s || !lanes) {
    free(s);
    free(lanes);
    fail(error, "no memory", ENOMEM);
    return NULL;
  }
  s->lanes = lanes;
  s->unread[0] = s->unread[1] = -1;
  s->settings = (struct fzs_settings){lowest, highest - lowest + 1u, workers, SHARE};
  const char *what = "can't load the BPF program";
  int result = load(s);
  if (!result && (open_unread(s, 0, true) || open_unread(s, 1, ipv6))) {
    what = "can't have sockets led to";
    result = -errno;
  }
  if (!result) {
    what = "can't attach the BPF program to the network namespace";
    result = attach(s);
  }
  if (!result)
    return s;
  fail(error, what, -result);
  steer_free(s);
  return NULL;
}

/* As fzr_udp_config.direct; by each worker for its own allocations. */
static int direct(void *ctx, const fzr_addr *at, bool begins)
{
  static const uint8_t any[16] = {0};
  const lane *l = ctx;
  const bool ipv6 = at->family == FZR_FAMILY_IPV6;
  const uint32_t number = (uint32_t)at->port - l->of->settings.lowest;
  if (number >= l->of->settings.ports)
    return FZR_ERR_INVALID_ARGUMENT;
  struct fzs_port *port = &l->of->ports[number + (ipv6 ? l->of->settings.ports : 0)];
  /* The owner is what the program looks at first. */
  __atomic_store_n(&port->owner, 0, __ATOMIC_RELEASE);
  if (!begins)
    return 0;
  port->any = memcmp(at->ip, any, sizeof at->ip) == 0;
  memset(port->ip, 0, sizeof port->ip);
  memcpy(port->ip, at->ip, ipv6 ? 16 : 4);
  __atomic_store_n(&port->owner, (uint16_t)(l->index + 1), __ATOMIC_RELEASE);
  return 0;
}

void steer_configure(steer *s, unsigned index, fzr_udp_config *config)
{
  s->lanes[index] = (lane){s, index};
  config->direct = direct;
  config->direct_ctx = &s->lanes[index];
  config->direct_turn = s->workers[index].turn;
}

int steer_add(steer *s, unsigned index, const fzr_udp *udp)
{
  for (unsigned i = 0; i < 2; i++) {
    const int fd = fzr_udp_common_socket(udp, i ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4), size = RECEIVE_BUFFER;
    if (fd < 0)
      continue;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (put_socket(s, 2 * index + i, fd))
      return -1;
  }
  return 0;
}

uint64_t steer_dropped(const steer *s, unsigned index)
{
  return __atomic_load_n(&s->workers[index].dropped, __ATOMIC_RELAXED);
}

void steer_free(steer *s)
{
  if (!s)
    return;
  bpf_link__destroy(s->link);
  for (unsigned i = 0; i < 2; i++)
    if (s->unread[i] >= 0)
      close(s->unread[i]);
  if (s->ports)
    munmap(s->ports, s->ports_bytes);
  if (s->workers)
    munmap(s->workers, s->workers_bytes);
  bpf_object__close(s->object);
  free(s->lanes);
  free(s);
}
