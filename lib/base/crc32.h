/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of ITU V.42 (polynomial 0x04C11DB7 reflected), for STUN's FINGERPRINT. */
#ifndef FZRI_CRC32_H
#define FZRI_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t fzri_crc32(const uint8_t *data, size_t len);

#endif
