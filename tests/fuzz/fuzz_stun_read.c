/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes through the STUN reader and all its getters, and through the ChannelData reader. */
#include "fuzz.h"

static void read_attributes(const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  fzr_addr addr;
  uint32_t word;
  uint16_t offset = 0;
  uint32_t sum = 0;
  while (fzr_stun_next(msg, &offset, &attr)) {
    for (uint16_t i = 0; i < attr.len; i++)
      sum += attr.value[i];
    fzr_stun_attr_addr(msg, &attr, &addr);
    if (fzr_stun_get(msg, attr.type, &attr))
      FUZZ_CHECK(fzr_stun_has(msg, attr.type));
    fzr_stun_get_u32(msg, attr.type, &word);
    fzr_stun_get_addr(msg, attr.type, &addr);
  }
  FUZZ_CHECK(offset == 0 || offset == msg->len);
  fuzz_sink = sum + fzr_stun_error_code(msg);
}

static void read_algorithms(const fzr_stun_msg *msg, uint16_t type)
{
  fzr_stun_attr attr;
  uint16_t offset = 0, algorithm, before = 0;
  if (!fzr_stun_get(msg, type, &attr))
    return;
  while (fzr_stun_next_algorithm(&attr, &offset, &algorithm)) {
    FUZZ_CHECK(offset >= before + 4 && offset <= attr.len);
    before = offset;
  }
}

static void read_nonce(const fzr_stun_msg *msg)
{
  fzr_stun_attr attr;
  if (fzr_stun_get(msg, FZR_ATTR_NONCE, &attr))
    FUZZ_CHECK(fzr_auth_nonce_features(attr.value, attr.len) <= 0xffffff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const uint8_t key[FZR_STUN_KEY_LEN] = {1, 2, 3};
  fzr_stun_msg msg;
  uint16_t channel, len;
  uint8_t *exact = fuzz_exact(data, size);
  if (fzr_stun_read(exact, size, &msg) == 0) {
    FUZZ_CHECK(msg.len == size && msg.cls < 4 && msg.method < 0x1000);
    read_attributes(&msg);
    fuzz_sink = fzr_stun_verify(&msg, key, FZR_STUN_KEY_LEN);
    fuzz_sink = fzr_stun_verify_sha256(&msg, key, FZR_STUN_KEY_LEN, 16);
    read_algorithms(&msg, FZR_ATTR_PASSWORD_ALGORITHMS);
    read_algorithms(&msg, FZR_ATTR_PASSWORD_ALGORITHM);
    read_nonce(&msg);
  }
  if (fzr_channel_data_read(exact, size, &channel, &len) == 0)
    FUZZ_CHECK(channel >= FZR_CHANNEL_MIN && channel <= FZR_CHANNEL_MAX && len + 4u <= size);
  free(exact);
  return 0;
}
