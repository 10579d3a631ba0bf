/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever peers may send, in runs of any segment size, to a relay with live channels and permissions. */
#include "fuzz_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  fuzz_engine f;
  uint8_t bytes[2048];
  fuzz_engine_init(&f, fuzz_byte(&in) & 18);
  for (unsigned client = 0; client < 2; client++) {
    fuzz_allocate(&f, client, true, false); /* gets a nonce */
    fuzz_allocate(&f, client, true, false);
    for (unsigned peer = 0; peer < 4; peer++)
      fuzz_bind(&f, client, (uint16_t)(0x4000 + peer), peer * 4);
    fuzz_permit(&f, client, 1); /* and no channel */
    fuzz_permit(&f, client, 9);
  }
  for (unsigned steps = 0; in.size && steps < 64; steps++) {
    const uint8_t op = fuzz_byte(&in);
    const uint16_t port = op & 1 ? f.port[op >> 1 & 1] : (uint16_t)(49990 + (op & 63));
    const unsigned peer = fuzz_byte(&in);
    const uint16_t seg = fuzz_u16(&in) % 300;
    if (op & 128)
      fuzz_pass(&f, peer * FZR_SECOND);
    fuzz_from_peer(&f, peer, port, bytes, fuzz_bytes(&in, bytes, fuzz_u16(&in) % sizeof bytes), seg);
  }
  fuzz_engine_free(&f);
  return 0;
}
