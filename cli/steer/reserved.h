/* SPDX-License-Identifier: Apache-2.0 */
/* Which ports the kernel gives to programs that ask for any. */
#ifndef STEER_RESERVED_H
#define STEER_RESERVED_H

#include <stdbool.h>
#include <stdint.h>

/* Whether all ports from |lowest| to |highest| are kept from programs that ask for any: by being out of |range|, as net.ipv4.ip_local_port_range
 * has it ("32768 60999"), or in |list|, as net.ipv4.ip_local_reserved_ports does ("8080,9148-9150"). */
bool reserved_all(const char *range, const char *list, uint16_t lowest, uint16_t highest);

#endif
