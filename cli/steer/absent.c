/* SPDX-License-Identifier: Apache-2.0 */
/* In place of steer.c in a build without clang or libbpf. */
#include "steer.h"

#include <stdio.h>

steer *steer_open(uint16_t lowest, uint16_t highest, unsigned workers, bool ipv6, char error[STEER_ERROR_MAX])
{
  (void)lowest;
  (void)highest;
  (void)workers;
  (void)ipv6;
  snprintf(error, STEER_ERROR_MAX, "this build has no BPF (it takes clang and libbpf)");
  return NULL;
}

/* There is none to be called with. */
void steer_configure(steer *s, unsigned index, fzr_udp_config *config)
{
  (void)s;
  (void)index;
  (void)config;
}

int steer_add(steer *s, unsigned index, const fzr_udp *udp)
{
  (void)s;
  (void)index;
  (void)udp;
  return -1;
}

uint64_t steer_dropped(const steer *s, unsigned index)
{
  (void)s;
  (void)index;
  return 0;
}

void steer_free(steer *s)
{
  (void)s;
}
