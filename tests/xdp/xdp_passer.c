/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches a program to interfaces of this network namespace, natively, until standard input ends: one that passes every packet, or
 * with --drop drops it, or with --swap sends it back with its MAC addresses swapped. veth delivers frames that XDP sends only to an
 * interface that has a program. With --tcx it is a program at tcx ingress, which leaves every packet to the next one, or with --tcx-drop
 * drops it, or with --tcx-back sends it back as it is; for each line that it reads it says how many it has seen. --tcx-programs says how many programs an interface has there, and their numbers. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSN(c, d, s, o, i)                                                                                  \
  {                                                                                                          \
    .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                                      \
  }
#define LOAD(size, to, from, at)  INSN(BPF_LDX | BPF_MEM | (size), to, from, at, 0)
#define STORE(size, to, from, at) INSN(BPF_STX | BPF_MEM | (size), to, from, at, 0)
#define RETURN(action)                                                                                       \
  INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, action), INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static const struct bpf_insn pass[] = {RETURN(XDP_PASS)};
static const struct bpf_insn drop[] = {RETURN(XDP_DROP)};
static const struct bpf_insn swap[] = {
    LOAD(BPF_W, 2, 1, offsetof(struct xdp_md, data)),
    LOAD(BPF_W, 3, 1, offsetof(struct xdp_md, data_end)),
    INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
    INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),
    INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 10, 0),
    LOAD(BPF_W, 4, 2, 0),
    LOAD(BPF_H, 5, 2, 4),
    LOAD(BPF_H, 6, 2, 6),
    LOAD(BPF_W, 7, 2, 8),
    STORE(BPF_H, 2, 6, 0),
    STORE(BPF_W, 2, 7, 2),
    STORE(BPF_W, 2, 4, 6),
    STORE(BPF_H, 2, 5, 10),
    RETURN(XDP_TX),
    RETURN(XDP_DROP),
};

static int load(const char *mode)
{
  struct bpf_prog_load_opts opts = {.sz = sizeof opts, .prog_flags = BPF_F_XDP_HAS_FRAGS};
  if (strcmp(mode, "--drop") == 0)
    return bpf_prog_load(BPF_PROG_TYPE_XDP, "fzt_drop", "GPL", drop, sizeof drop / sizeof *drop, &opts);
  if (strcmp(mode, "--swap") == 0)
    return bpf_prog_load(BPF_PROG_TYPE_XDP, "fzt_swap", "GPL", swap, sizeof swap / sizeof *swap, &opts);
  return bpf_prog_load(BPF_PROG_TYPE_XDP, "fzt_pass", "GPL", pass, sizeof pass / sizeof *pass, &opts);
}

/* ---- tcx ---- */

#define TCX_INGRESS 46 /* Linux 6.6, and no header of before */

static int seen = -1; /* the map with the number of packets */

static int load_tcx(const char *mode)
{
  const struct bpf_insn back[] = {
      LOAD(BPF_W, 1, 1, offsetof(struct __sk_buff, ifindex)),
      INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0),
      INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect),
      INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  if (strcmp(mode, "--tcx-back") == 0)
    return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fzt_back", "GPL", back, sizeof back / sizeof *back, NULL);
  seen = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fzt_seen", 4, 8, 1, NULL);
  if (seen < 0)
    return seen;
  const struct bpf_insn code[] = {
      INSN(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_VALUE, 0, seen),
      INSN(0, 0, 0, 0, 0),
      INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 1),
      INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 2, 3, 0, BPF_ADD),
      RETURN(strcmp(mode, "--tcx-drop") == 0 ? 2 : -1),
  };
  return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fzt_tcx", "GPL", code, sizeof code / sizeof *code, NULL);
}

static int attach_tcx(int program, unsigned interface)
{
  const uint32_t create[16] = {(uint32_t)program, interface, TCX_INGRESS};
  return (int)syscall(SYS_bpf, BPF_LINK_CREATE, create, sizeof create);
}

static uint64_t count(void)
{
  const uint32_t zero = 0;
  uint64_t packets = 0;
  (void)bpf_map_lookup_elem(seen, &zero, &packets);
  return packets;
}

/* Says how many programs there are at |interface|, and which. */
static int say_attached(const char *interface)
{
  uint32_t flags = 0, ids[64], n = sizeof ids / sizeof *ids;
  if (bpf_prog_query((int)if_nametoindex(interface), TCX_INGRESS, 0, &flags, ids, &n))
    return 1;
  printf("%u", n);
  for (uint32_t i = 0; i < n; i++)
    printf(" %u", ids[i]);
  puts("");
  return 0;
}

/* ---- both ---- */

static int attach(int program, const char *interface, bool tcx)
{
  const struct bpf_link_create_opts opts = {.sz = sizeof opts, .flags = XDP_FLAGS_DRV_MODE};
  const unsigned index = if_nametoindex(interface);
  return tcx ? attach_tcx(program, index) : bpf_link_create(program, (int)index, BPF_XDP, &opts);
}

int main(int argc, char **argv)
{
  const char *mode = argc > 1 && argv[1][0] == '-' ? argv[1] : "";
  if (strcmp(mode, "--tcx-programs") == 0 && argc == 3)
    return say_attached(argv[2]);
  const bool tcx = strncmp(mode, "--tcx", 5) == 0;
  const int program = tcx ? load_tcx(mode) : load(mode);
  if (program < 0) {
    fprintf(stderr, "can't load a program: %s\n", strerror(-program));
    return 1;
  }
  for (int i = *mode ? 2 : 1; i < argc; i++) {
    if (attach(program, argv[i], tcx) < 0) {
      fprintf(stderr, "can't attach to %s: %s\n", argv[i], strerror(errno));
      return 1;
    }
  }
  puts("attached");
  fflush(stdout);
  for (char c; read(0, &c, 1) > 0;) {
    if (!tcx || c != '\n')
      continue;
    printf("%llu\n", (unsigned long long)count());
    fflush(stdout);
  }
  return 0;
}
