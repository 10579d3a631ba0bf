/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches a program to interfaces of this network namespace, natively, until standard input ends: one that passes every packet, or
 * with --drop drops it, or with --swap sends it back with its MAC addresses swapped. veth delivers frames that XDP sends only to an
 * interface that has a program. */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
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

int main(int argc, char **argv)
{
  const char *mode = argc > 1 && argv[1][0] == '-' ? argv[1] : "";
  const int program = load(mode);
  if (program < 0) {
    fprintf(stderr, "can't load a program: %s\n", strerror(-program));
    return 1;
  }
  for (int i = *mode ? 2 : 1; i < argc; i++) {
    const struct bpf_link_create_opts opts = {.sz = sizeof opts, .flags = XDP_FLAGS_DRV_MODE};
    const int link = bpf_link_create(program, (int)if_nametoindex(argv[i]), BPF_XDP, &opts);
    if (link < 0) {
      fprintf(stderr, "can't attach to %s: %s\n", argv[i], strerror(-link));
      return 1;
    }
  }
  puts("attached");
  fflush(stdout);
  for (char c; read(0, &c, 1) > 0;)
    ;
  return 0;
}
