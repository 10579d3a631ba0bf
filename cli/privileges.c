/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include "log/log.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Before Linux 5.19, kernel.unprivileged_bpf_disabled also kept those without CAP_BPF from maps that they had open. */
static int keeps_maps_open(void)
{
  struct utsname name;
  unsigned major = 0, minor = 0;
  /* NOLINTNEXTLINE(cert-err34-c): written by the kernel. */
  return !uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
         (major > 5 || (major == 5 && minor >= 19));
}

void privileges_drop(void)
{
  static const unsigned drop[] = {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (!keeps_maps_open())
    return;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capget, &header, data)) {
    log_warn("relay", "Can't read this process's capabilities: %s", strerror(errno));
    return;
  }
  for (unsigned i = 0; i < sizeof drop / sizeof *drop; i++) {
    struct __user_cap_data_struct *word = &data[CAP_TO_INDEX(drop[i])];
    word->effective &= ~CAP_TO_MASK(drop[i]);
    word->permitted &= ~CAP_TO_MASK(drop[i]);
    word->inheritable &= ~CAP_TO_MASK(drop[i]);
  }
  if (syscall(SYS_capset, &header, data))
    log_warn("relay", "Can't give up capabilities: %s", strerror(errno));
}
