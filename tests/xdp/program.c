/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include "attach.h"
#include "testing.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static xdp_interface ingress;
static bool use_tcx, swaps, guards;
static uint32_t strangers;

void fzt_program_use_guard(uint32_t rate)
{
  guards = true;
  strangers = rate;
}

bool fzt_program_guards(void)
{
  return guards;
}

void fzt_program_use_tcx(void)
{
  use_tcx = true;
}

bool fzt_program_is_tcx(void)
{
  return use_tcx;
}

/* Why this can't be tested here, or NULL. */
static const char *find_missing(void)
{
  struct utsname name;
  unsigned major = 0, minor = 0;
  if (geteuid())
    return "not root: BPF programs can't be loaded";
  if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2 || major < 5 ||
      (major == 5 && minor < 18))
    return "Linux before 5.18 has no xdp.frags";
  if (access("/usr/sbin/ip", X_OK) && access("/sbin/ip", X_OK))
    return "no ip(8)";
  return NULL;
}

void fzt_keep_capabilities(uint64_t mask)
{
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  memset(data, 0, sizeof data);
  for (unsigned i = 0; i < 2; i++)
    data[i].effective = data[i].permitted = (uint32_t)(mask >> (32 * i));
  if (syscall(SYS_capset, &header, data)) {
    perror("capset");
    exit(1);
  }
}

void fzt_shell(const char *command)
{
  char line[1024];
  snprintf(line, sizeof line, "PATH=$PATH:/usr/sbin:/sbin; %s", command);
  if (system(line)) { /* NOLINT(cert-env33-c): fixed commands of tests */
    fprintf(stderr, "failed: %s\n", command);
    exit(1);
  }
}

bool fzt_program_prepare(void)
{
  const char *missing = find_missing();
  if (missing) {
    printf("skipped: %s\n", missing);
    return false;
  }
  if (unshare(CLONE_NEWNET)) {
    perror("unshare");
    exit(FZT_SKIP);
  }
  fzt_shell("ip link set lo up");
  fzt_shell("ip link add fzt0 address 02:00:00:00:00:10 type veth peer name fzt1 address 02:00:00:00:00:11");
  fzt_shell("ip link add fzt2 address 02:00:00:00:00:12 type veth peer name fzt3 address 02:00:00:00:00:13");
  fzt_shell("for i in fzt0 fzt1 fzt2 fzt3; do sysctl -qw net.ipv6.conf.$i.addr_gen_mode=1; ip link set $i "
            "up; done");
  return true;
}

void fzt_program_load(xdp_object *object, bool swap)
{
  swaps = swap;
  const xdp_object_config config = {
      .settings = {.listen_port = FZT_LISTEN_PORT,
                   .lowest_port = FZT_LOWEST,
                   .highest_port = FZT_HIGHEST,
                   .route = swap ? FZX_ROUTE_SWAP : FZX_ROUTE_FIB,
                   .guard = guards,
                   .stranger_interval = strangers ? 1000000000u / strangers : 0},
      .entries = 1024,
      .hook = use_tcx ? XDP_HOOK_TCX : XDP_HOOK_NATIVE};
  ck_assert_int_eq(xdp_object_load(&config, object), 0);
  snprintf(ingress.name, sizeof ingress.name, "%s", FZT_INGRESS);
  ck_assert_int_eq(xdp_attach(&ingress, object->program, config.hook), 0);
  (void)fzt_program_reason(object);
  (void)fzt_program_dropped(object);
}

void fzt_program_unload(xdp_object *object)
{
  xdp_detach(&ingress);
  xdp_object_free(object);
}

/* |linear| bytes, metadata among them, are in the first buffer. */
static uint32_t run_xdp(const xdp_object *object, const uint8_t *data, uint32_t len, uint32_t metadata,
                        uint32_t linear, fzt_frame *out)
{
  struct xdp_md ctx = {.ingress_ifindex = ingress.index, .data = metadata, .data_end = linear};
  struct bpf_test_run_opts opts = {.sz = sizeof opts,
                                   .data_in = data,
                                   .data_size_in = len,
                                   .data_out = out->data,
                                   .data_size_out = sizeof out->data,
                                   .ctx_in = &ctx,
                                   .ctx_size_in = sizeof ctx,
                                   .ctx_out = &ctx,
                                   .ctx_size_out = sizeof ctx,
                                   .repeat = 1};
  const int error = bpf_prog_test_run_opts(object->program, &opts);
  if (error == -EINVAL && (metadata || linear < len))
    return FZT_REFUSED;
  if (error)
    ck_abort_msg("BPF_PROG_TEST_RUN: %s (%u bytes)", strerror(-error), len);
  out->len = opts.data_size_out;
  return opts.retval;
}

/* Linux 6.17: the kernel sums up what follows the MAC header, as a device does, and says -EBADMSG if that sum is wrong afterwards. */
#define CHECKSUM_COMPLETE (1u << 2)

static int run_skb_with(const xdp_object *object, const uint8_t *data, uint32_t len, uint32_t linear,
                        uint32_t gso_size, uint32_t flags, struct bpf_test_run_opts *opts, fzt_frame *out)
{
  struct __sk_buff ctx = {.ifindex = ingress.index, .gso_size = gso_size, .gso_segs = gso_size ? 2 : 0};
  if (linear < len)
    ctx.data_end = linear;
  *opts = (struct bpf_test_run_opts){.sz = sizeof *opts,
                                     .data_in = data,
                                     .data_size_in = len,
                                     .data_out = out->data,
                                     .data_size_out = sizeof out->data,
                                     .ctx_in = &ctx,
                                     .ctx_size_in = sizeof ctx,
                                     .flags = flags,
                                     .repeat = 1};
  return bpf_prog_test_run_opts(object->program, opts);
}

/* What the kernel makes no socket buffer of: less than an IP header, more than a page, or, before Linux 6.19, in two buffers. */
static bool is_refused(const uint8_t *data, uint32_t len, uint32_t linear)
{
  const uint32_t ip = len > 13 && data[12] == 0x86 && data[13] == 0xdd ? 40 : 20;
  return len < 14 + ip || len > 3500 || linear < len;
}

static uint32_t flags;
static bool cannot_sum;

void fzt_program_sum_up(bool sums)
{
  flags = sums && !cannot_sum ? CHECKSUM_COMPLETE : 0;
}

static uint32_t run_skb(const xdp_object *object, const uint8_t *data, uint32_t len, uint32_t linear,
                        uint32_t gso_size, fzt_frame *out)
{
  static const uint8_t from_egress[6] = {2, 0, 0, 0, 0, 0x12};
  struct bpf_test_run_opts opts;
  int error = run_skb_with(object, data, len, linear, gso_size, flags, &opts, out);
  if (error == -EINVAL && is_refused(data, len, linear))
    return FZT_REFUSED;
  if (error == -EINVAL && flags) {
    cannot_sum = true;
    flags = 0;
    printf("not tested: sums of devices, which takes Linux 6.17\n");
    error = run_skb_with(object, data, len, linear, gso_size, flags, &opts, out);
  }
  if (error)
    ck_abort_msg("BPF_PROG_TEST_RUN: %s (%u bytes)", strerror(-error), len);
  out->len = opts.data_size_out;
  switch ((int)opts.retval) {
  case -1:
    return XDP_PASS;
  case 2:
    return XDP_DROP;
  case 7:
    return !swaps && memcmp(out->data + 6, from_egress, sizeof from_egress) == 0 ? XDP_REDIRECT : XDP_TX;
  default:
    return XDP_ABORTED;
  }
}

static uint32_t run(const xdp_object *object, const uint8_t *data, uint32_t len, uint32_t metadata,
                    uint32_t linear, fzt_frame *out)
{
  if (!use_tcx)
    return run_xdp(object, data, len, metadata, linear, out);
  return metadata ? FZT_REFUSED : run_skb(object, data, len, linear, 0, out);
}

uint32_t fzt_program_run_gso(const xdp_object *object, const fzt_frame *in, uint32_t gso_size, fzt_frame *out)
{
  return run_skb(object, in->data, (uint32_t)in->len, (uint32_t)in->len, gso_size, out);
}

uint32_t fzt_program_run(const xdp_object *object, const fzt_frame *in, unsigned headroom_used,
                         fzt_frame *out)
{
  static uint8_t with_meta[FZT_FRAME_MAX + 256];
  const uint32_t len = headroom_used + (uint32_t)in->len;
  memset(with_meta, 0, headroom_used);
  memcpy(with_meta + headroom_used, in->data, in->len);
  return run(object, with_meta, len, headroom_used, len, out);
}

uint32_t fzt_program_run_split(const xdp_object *object, const fzt_frame *in, unsigned linear, fzt_frame *out)
{
  return run(object, in->data, (uint32_t)in->len, 0, linear, out);
}

/* Which of |count| counters, as |read| has them, is 1 more than |before|, which is brought up to date. */
static int which_grew(const xdp_object *object, int (*read)(const xdp_object *, uint32_t, uint64_t *),
                      uint64_t *before, uint32_t count)
{
  int reason = -1;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t now;
    ck_assert_int_eq(read(object, i, &now), 0);
    if (now == before[i] + 1)
      reason = reason == -1 ? (int)i : -2;
    else if (now != before[i])
      reason = -2;
    before[i] = now;
  }
  return reason;
}

int fzt_program_reason(const xdp_object *object)
{
  static uint64_t before[FZX_PASSED_REASONS];
  return which_grew(object, xdp_object_passed, before, FZX_PASSED_REASONS);
}

int fzt_program_dropped(const xdp_object *object)
{
  static uint64_t before[FZX_DROPPED_REASONS];
  return which_grew(object, xdp_object_dropped, before, FZX_DROPPED_REASONS);
}

uint64_t fzt_program_relayed(const xdp_object *object, uint64_t *bytes)
{
  uint64_t packets = 0;
  *bytes = 0;
  for (uint32_t i = 0; i < FZX_DIRECTIONS * FZX_SIZE_CLASSES; i++) {
    struct fzx_counter counter;
    ck_assert_int_eq(xdp_object_counter(object, i, &counter), 0);
    packets += counter.packets;
    *bytes += counter.bytes;
  }
  return packets;
}
