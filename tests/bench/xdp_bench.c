/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as a driver gives them: made in the kernel by BPF_PROG_TEST_RUN and sent by a veth interface, to a relay (or to a bare program)
 * on the other end. Tells what the other end's NAPI thread and process cost per frame. Or frames that are written to a tap of the other end, and
 * what each such call costs. xdp.sh drives it. */
#include "measure.h"
#include "session.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 46u
#define BATCH    64u
#define CHANNEL  0x4000
#define FLOWS    16u    /* channels, and peers, whose ports begin at a multiple of this */
#define CATCH_UP 500000 /* ns: frames that came late by up to this are sent at once, the rest never */

typedef struct settings {
  const char *interface; /* ours */
  const char *near;      /* the relay's end, in the namespace of |near_pid| */
  int near_pid;
  int napi_pid; /* its NAPI thread */
  int relay_pid;
  const char *back; /* where frames come back to: an interface here; NULL: nowhere */
  const char *tap;  /* of the relay's end; NULL: frames come by veth */
  uint8_t to_mac[6];
  fzr_addr server; /* NULL family: no relay, just frames */
  fzr_addr peer;
  fzr_addr client; /* of a server that wants no allocation: who sends */
  credential credential;
  bool down;
  bool single;      /* of FLOWS channels at random, without checksums: nobody makes runs of them */
  bool junk;        /* neither STUN nor ChannelData */
  uint16_t channel; /* of the next frame */
  uint32_t size;
  uint64_t rate; /* frames a second; 0: as many as go */
  double seconds;
} settings;

static int fail(const char *what, int error)
{
  fprintf(stderr, "xdp-bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
  return 1;
}

/* ---- programs ---- */

static int load(const struct bpf_insn *code, size_t n, const char *name)
{
  struct bpf_prog_load_opts opts = {.sz = sizeof opts};
  return bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", code, n, &opts);
}

#define INSN(c, d, s, o, i)                                                                                  \
  ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (int16_t)(o), .imm = (i)})

/* A program that writes |head| to the front of a frame, whatever is there, for the pages come back as the relay left them, and sends it
 * by the interface. The byte at |vary|, if that is not 0, is another one's of FLOWS each time. With |interval|, in ns, it drops all frames but one for each of those. */
static int load_generator(const uint8_t *head, unsigned len, uint32_t interval, unsigned vary)
{
  struct bpf_insn code[HEAD_MAX / 2 + 30];
  size_t n = 0;
  const int due = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fzr_due", 4, 8, 1, NULL);
  if (due < 0)
    return due;
  code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
  if (interval) {
    code[n++] = INSN(BPF_LD | BPF_DW | BPF_IMM, 7, BPF_PSEUDO_MAP_VALUE, 0, due);
    code[n++] = INSN(0, 0, 0, 0, 0);
    code[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns);
    code[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, 8, 7, 0, 0);
    code[n++] = INSN(BPF_JMP | BPF_JGE | BPF_X, 0, 8, 2, 0);
    code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP);
    code[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    /* The next one is due an interval after this one was; or after now, if much time has passed. */
    code[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 8, 0, 0, (int)interval);
    code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 9, 0, 0, 0);
    code[n++] = INSN(BPF_ALU64 | BPF_SUB | BPF_K, 9, 0, 0, CATCH_UP);
    code[n++] = INSN(BPF_JMP | BPF_JGE | BPF_X, 8, 9, 1, 0);
    code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 8, 0, 0, 0);
    code[n++] = INSN(BPF_STX | BPF_MEM | BPF_DW, 7, 8, 0, 0);
  }
  if (vary) {
    code[n++] = INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32);
    code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 8, 0, 0, 0);
    code[n++] = INSN(BPF_ALU64 | BPF_AND | BPF_K, 8, 0, 0, FLOWS - 1);
    code[n++] = INSN(BPF_ALU64 | BPF_OR | BPF_K, 8, 0, 0, head[vary]);
  }
  code[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 6, offsetof(struct xdp_md, data), 0);
  code[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 6, offsetof(struct xdp_md, data_end), 0);
  code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0);
  code[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, (int)len);
  code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP);
  const size_t jump = n++;
  for (unsigned at = 0; at < len; at += 2) {
    uint16_t word;
    memcpy(&word, head + at, sizeof word);
    code[n++] = INSN(BPF_ST | BPF_MEM | BPF_H, 2, 0, at, word);
  }
  if (vary)
    code[n++] = INSN(BPF_STX | BPF_MEM | BPF_B, 2, 8, vary, 0);
  code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_TX);
  code[jump] = INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, n - jump - 1, 0);
  code[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  return load(code, n, "fzr_generator");
}

static int load_drop(void)
{
  const struct bpf_insn code[] = {INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP),
                                  INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)};
  return load(code, 2, "fzr_sink");
}

static int attach(int program, const char *interface)
{
  const struct bpf_link_create_opts opts = {.sz = sizeof opts, .flags = XDP_FLAGS_DRV_MODE};
  return bpf_link_create(program, (int)if_nametoindex(interface), BPF_XDP, &opts);
}

/* ---- frames ---- */

static void put16(uint8_t *at, unsigned value)
{
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static uint16_t sum(const uint8_t *data, size_t len, uint32_t start)
{
  uint32_t total = start;
  for (size_t i = 0; i < len; i += 2)
    total += i + 1 < len ? (uint32_t)data[i] << 8 | data[i + 1] : (uint32_t)data[i] << 8;
  while (total >> 16)
    total = (total & 0xffff) + (total >> 16);
  return (uint16_t)total;
}

/* A whole frame, with right sums. Returns its length. */
static unsigned make_frame(const settings *s, const session *client, uint8_t *f)
{
  static const uint8_t from_mac[6] = {2, 0, 0, 0, 0, 1};
  const fzr_addr *from = s->down ? &s->peer : &client->mapped, *to = s->down ? &client->relayed : &s->server;
  const unsigned header = s->down || s->junk ? 0 : 4, udp_len = 8 + header + s->size;
  memcpy(f, s->to_mac, 6);
  memcpy(f + 6, from_mac, sizeof from_mac);
  put16(f + 12, 0x0800);
  f[14] = 0x45;
  put16(f + 16, 20 + udp_len);
  put16(f + 20, 0x4000);
  f[22] = 64;
  f[23] = 17;
  memcpy(f + 26, from->ip, 4);
  memcpy(f + 30, s->down ? s->server.ip : to->ip, 4);
  put16(f + 24, 0xffffu - sum(f + 14, 20, 0));
  put16(f + 34, from->port);
  put16(f + 36, to->port);
  put16(f + 38, udp_len);
  if (header) {
    put16(f + 42, s->channel);
    put16(f + 44, s->size);
  }
  memset(f + 42 + header, 0x5a, s->size);
  const uint16_t total = sum(f + 34, udp_len, sum(f + 26, 8, 17 + udp_len));
  put16(f + 40, s->single ? 0 : total == 0xffff ? 0xffffu : 0xffffu - total);
  return 34 + udp_len;
}

/* ---- the other end ---- */

/* Packets that |interface| in the namespace of |pid| has received. */
static uint64_t received(int pid, const char *interface)
{
  char path[64], line[512], name[32];
  unsigned long long bytes, packets;
  snprintf(path, sizeof path, "/proc/%d/net/dev", pid);
  FILE *file = fopen(path, "re");
  uint64_t found = 0;
  while (file && fgets(line, sizeof line, file))
    /* The kernel wrote it. NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(line, " %31[^:]: %llu %llu", name, &bytes, &packets) == 3 && strcmp(name, interface) == 0)
      found = packets;
  if (file)
    (void)fclose(file);
  return found;
}

static bool step(session *client, enum session_state wanted)
{
  const fzr_time end = bench_now() + 5 * FZR_SECOND;
  while (client->state != wanted && client->state != SESSION_FAILED && bench_now() < end) {
    struct pollfd p = {.fd = client->fd, .events = POLLIN};
    poll(&p, 1, 50);
    session_read(client, bench_now());
    session_tick(client, bench_now());
  }
  return client->state == wanted;
}

/* An allocation with a channel to the peer. */
static int log_in(const settings *s, session *client)
{
  if (session_open(client, &s->server, &s->credential, 1))
    return fail("socket", errno);
  session_allocate(client, false, bench_now());
  if (!step(client, SESSION_READY))
    return fail("no allocation", EACCES);
  for (unsigned i = 0; i < (s->single ? FLOWS : 1); i++) {
    fzr_addr peer = s->peer;
    peer.port = (uint16_t)(peer.port + i);
    session_bind(client, (uint16_t)(CHANNEL + i), &peer, bench_now());
    if (!step(client, SESSION_READY))
      return fail("no channel", EACCES);
  }
  return 0;
}

/* ---- measuring ---- */

typedef struct counts {
  fzr_time at;
  uint64_t napi, relay; /* CPU time, ns */
  uint64_t in, back;
} counts;

static counts take(const settings *s)
{
  return (counts){bench_now(), s->napi_pid ? process_cpu_ns(s->napi_pid) : 0,
                  s->relay_pid ? process_cpu_ns(s->relay_pid) : 0, received(s->near_pid, s->near),
                  s->back ? received((int)getpid(), s->back) : 0};
}

/* Sends frames for |seconds| or longer. A call costs milliseconds, so it is made for many. Returns 0 or an error. */
static int generate(const settings *s, int program, const uint8_t *frame, unsigned len, double seconds)
{
  const fzr_time end = bench_now() + (fzr_time)(seconds * 1e9);
  struct xdp_md ctx = {.data_end = len, .ingress_ifindex = if_nametoindex(s->interface)};
  do {
    struct bpf_test_run_opts opts = {.sz = sizeof opts,
                                     .data_in = frame,
                                     .data_size_in = len,
                                     .ctx_in = &ctx,
                                     .ctx_size_in = sizeof ctx,
                                     .repeat = 250000,
                                     .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
                                     .batch_size = BATCH};
    const int error = bpf_prog_test_run_opts(program, &opts);
    if (error)
      return error;
  } while (bench_now() < end);
  return 0;
}

/* ---- a tap ---- */

static int open_tap(const settings *s)
{
  char path[64];
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  snprintf(path, sizeof path, "/proc/%d/ns/net", s->near_pid);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", s->tap);
  const int there = open(path, O_RDONLY | O_CLOEXEC);
  const int tap = there < 0 || setns(there, CLONE_NEWNET) ? -1 : open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  return tap < 0 || ioctl(tap, TUNSETIFF, &request) ? -1 : tap;
}

static uint64_t thread_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * FZR_SECOND + (uint64_t)t.tv_nsec;
}

/* Each write has the kernel take a frame in and be done with it. Returns how many, or 0. */
static uint64_t write_frames(int tap, uint8_t frames[FLOWS][2048], unsigned len, double seconds)
{
  const fzr_time end = bench_now() + (fzr_time)(seconds * 1e9);
  uint64_t n = 0;
  do
    for (unsigned i = 0; i < 1024; i++, n++)
      if (write(tap, frames[n % FLOWS], len) != (ssize_t)len)
        return 0;
  while (bench_now() < end);
  return n;
}

/* With whole checksums: there is no GRO here. */
static int run_tap(settings *s, session *client)
{
  static uint8_t frames[FLOWS][2048];
  unsigned len = 0;
  const uint16_t port = s->peer.port;
  s->single = false;
  for (unsigned i = 0; i < FLOWS; i++) {
    s->peer.port = (uint16_t)(port + (s->down ? i : 0));
    s->channel = (uint16_t)(CHANNEL + i);
    len = make_frame(s, client, frames[i]);
  }
  const int tap = open_tap(s);
  if (tap < 0)
    return fail(s->tap, errno);
  if (!write_frames(tap, frames, len, 0.1))
    return fail("write", errno);
  const uint64_t relay = s->relay_pid ? process_cpu_ns(s->relay_pid) : 0, before = thread_ns();
  const uint64_t n = write_frames(tap, frames, len, s->seconds), ns = thread_ns() - before;
  if (!n)
    return fail("write", errno);
  printf("{\"in\": %llu, \"back\": 0, \"seconds\": %.3f, \"cpu_ns\": %llu, \"relay_ns\": %llu}\n",
         (unsigned long long)n, s->seconds, (unsigned long long)ns,
         (unsigned long long)(s->relay_pid ? process_cpu_ns(s->relay_pid) - relay : 0));
  return 0;
}

static int run(settings *s)
{
  uint8_t frame[2048] = {0};
  session client;
  memset(&client, 0, sizeof client);
  client.mapped = s->client;
  if (s->server.family && !s->client.family && log_in(s, &client))
    return 1;
  if (s->tap)
    return run_tap(s, &client);
  const unsigned len = make_frame(s, &client, frame);
  const unsigned vary = !s->single || s->junk ? 0 : s->down ? 35 : 43; /* the source's port, or the channel */
  const int generator = load_generator(frame, s->down || s->junk ? 42 : 46,
                                       s->rate ? (uint32_t)(FZR_SECOND / s->rate) : 0, vary),
            sink = load_drop();
  if (generator < 0 || sink < 0)
    return fail("can't load a program", generator < 0 ? generator : sink);
  /* Nothing comes back of junk, and others may live by the interface. */
  const int here = s->junk ? 0 : attach(sink, s->interface);
  const int back = s->back && strcmp(s->back, s->interface) != 0 ? attach(sink, s->back) : 0;
  if (here < 0 || back < 0)
    return fail("can't attach", here < 0 ? here : back);
  int error = generate(s, generator, frame, len, 0.2);
  const counts before = take(s);
  if (!error)
    error = generate(s, generator, frame, len, s->seconds);
  usleep(20000); /* what is on its way */
  const counts after = take(s);
  if (error)
    return fail("BPF_PROG_TEST_RUN", error);
  const double in = (double)(after.in - before.in), out = (double)(after.back - before.back);
  const double relay = (double)(after.relay - before.relay), ns = (double)(after.napi - before.napi) + relay;
  printf("{\"in\": %.0f, \"back\": %.0f, \"seconds\": %.3f, \"cpu_ns\": %.0f, \"relay_ns\": %.0f}\n", in, out,
         (double)(after.at - before.at) / 1e9, ns, relay);
  if (client.fd > 0)
    session_close(&client);
  return in > 0 ? 0 : 1;
}

/* ---- options ---- */

static int parse_mac(const char *text, uint8_t mac[6])
{
  unsigned b[6];
  /* xdp.sh read it from the kernel. NOLINTNEXTLINE(cert-err34-c) */
  if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
    return -1;
  for (unsigned i = 0; i < 6; i++)
    mac[i] = (uint8_t)b[i];
  return 0;
}

int main(int argc, char **argv)
{
  static const struct option options[] = {
      {"interface", 1, NULL, 'i'}, {"near", 1, NULL, 'n'},      {"near-pid", 1, NULL, 'N'},
      {"napi-pid", 1, NULL, 'p'},  {"relay-pid", 1, NULL, 'P'}, {"back", 1, NULL, 'b'},
      {"to-mac", 1, NULL, 'm'},    {"server", 1, NULL, 's'},    {"peer", 1, NULL, 'e'},
      {"user", 1, NULL, 'u'},      {"password", 1, NULL, 'w'},  {"down", 0, NULL, 'd'},
      {"size", 1, NULL, 'z'},      {"rate", 1, NULL, 'r'},      {"seconds", 1, NULL, 't'},
      {"client", 1, NULL, 'c'},    {"single", 0, NULL, 'S'},    {"junk", 0, NULL, 'j'},
      {"tap", 1, NULL, 'T'},       {NULL, 0, NULL, 0}};
  settings s = {.size = 100, .seconds = 1, .channel = CHANNEL};
  int option, bad = 0;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'i':
      s.interface = optarg;
      break;
    case 'n':
      s.near = optarg;
      break;
    case 'N':
      s.near_pid = (int)strtol(optarg, NULL, 10);
      break;
    case 'p':
      s.napi_pid = (int)strtol(optarg, NULL, 10);
      break;
    case 'P':
      s.relay_pid = (int)strtol(optarg, NULL, 10);
      break;
    case 'b':
      s.back = optarg;
      break;
    case 'm':
      bad |= parse_mac(optarg, s.to_mac);
      break;
    case 's':
      bad |= fzr_addr_parse(optarg, &s.server);
      break;
    case 'e':
      bad |= fzr_addr_parse(optarg, &s.peer);
      break;
    case 'c':
      bad |= fzr_addr_parse(optarg, &s.client);
      break;
    case 'u':
      snprintf(s.credential.username, sizeof s.credential.username, "%s", optarg);
      break;
    case 'w':
      snprintf(s.credential.password, sizeof s.credential.password, "%s", optarg);
      break;
    case 'T':
      s.tap = optarg;
      break;
    case 'd':
      s.down = true;
      break;
    case 'S':
      s.single = true;
      break;
    case 'j':
      s.junk = true;
      break;
    case 'z':
      s.size = (uint32_t)strtoul(optarg, NULL, 10);
      break;
    case 'r':
      s.rate = strtoull(optarg, NULL, 10);
      break;
    case 't':
      s.seconds = strtod(optarg, NULL);
      break;
    default:
      bad = 1;
    }
  }
  if (bad || !s.interface || !s.near || !s.near_pid || s.size > 1400) {
    fprintf(stderr, "xdp-bench: see xdp.sh for how to call it\n");
    return 2;
  }
  return run(&s);
}
