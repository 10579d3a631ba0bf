/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/stun.h"

#include "../base/bytes.h"

enum fzr_drop_reason fzr_channel_data_read(const uint8_t *data, size_t len, uint16_t *channel,
                                           uint16_t *payload_len)
{
  if (len == 0 || (data[0] & 0xf0) != 0x40)
    return FZR_DROP_NOT_STUN;
  if (len < FZR_CHANNEL_HEADER_LEN)
    return FZR_DROP_CHANNEL_DATA_TRUNCATED;
  const uint16_t payload = fzri_get16(data + 2);
  if (payload > len - FZR_CHANNEL_HEADER_LEN)
    return FZR_DROP_CHANNEL_DATA_TRUNCATED;
  *channel = fzri_get16(data);
  *payload_len = payload;
  return FZR_DROP_NONE;
}

void fzr_channel_data_header(uint8_t out[4], uint16_t channel, uint16_t payload_len)
{
  fzri_put16(out, channel);
  fzri_put16(out + 2, payload_len);
}
