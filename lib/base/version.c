/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/firezone_relay.h"

const char *fzr_version(void)
{
  return FZR_BUILD_VERSION;
}
