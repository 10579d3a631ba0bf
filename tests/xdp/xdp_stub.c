/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches a program that passes every packet to interfaces of this network namespace, natively, until standard input ends. veth
 * delivers frames that XDP sends only to an interface that has a program. */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
  /* r0 = XDP_PASS; exit */
  static const struct bpf_insn pass[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS},
                                         {.code = BPF_JMP | BPF_EXIT}};
  static const struct bpf_insn drop[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_DROP},
                                         {.code = BPF_JMP | BPF_EXIT}};
  int first = 1;
  const int drops = argc > 1 && strcmp(argv[1], "--drop") == 0;
  const struct bpf_prog_load_opts load = {.sz = sizeof load, .prog_flags = BPF_F_XDP_HAS_FRAGS};
  const int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "fzt_stub", "GPL", drops ? drop : pass, 2, &load);
  if (program < 0) {
    fprintf(stderr, "can't load a program: %s\n", strerror(-program));
    return 1;
  }
  for (int i = first + drops; i < argc; i++) {
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
