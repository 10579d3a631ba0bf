/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of what clients may do: raw bytes, runs, signed requests of any attributes, tickets of each other, time, failing sockets. */
#include "fuzz_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const int errors[] = {FZR_ERR_IO, FZR_ERR_IO_IN_USE, FZR_ERR_IO_NO_SOCKET, 0};
  fuzz_input in = {data, size};
  fuzz_engine f;
  uint8_t bytes[600];
  fuzz_engine_init(&f, fuzz_byte(&in));
  for (unsigned steps = 0; in.size && steps < 64; steps++) {
    const uint8_t op = fuzz_byte(&in);
    const unsigned client = op >> 4 & 3;
    const size_t len = fuzz_byte(&in);
    f.events_wait = op & 0x80;
    switch (op & 7) {
    case 0:
      fuzz_from_client(&f, client, bytes, fuzz_bytes(&in, bytes, len), 0);
      break;
    case 1:
      fuzz_from_client(&f, client, bytes, fuzz_bytes(&in, bytes, 2 * len), (uint16_t)(fuzz_byte(&in) % 64));
      break;
    case 2:
      fuzz_signed(&f, client, (uint16_t)(len & 15), bytes, fuzz_bytes(&in, bytes, fuzz_byte(&in)));
      break;
    case 3:
      (len & 2 ? fuzz_skip : fuzz_pass)(&f,
                                        (fzr_time)fuzz_u16(&in) * (len & 1 ? FZR_SECOND : FZR_MILLISECOND));
      break;
    case 4:
      fuzz_allocate(&f, client, len & 1, f.mobility && len & 2);
      break;
    case 5:
      if (f.mobility && len & 0x40)
        fuzz_move(&f, client, fuzz_byte(&in));
      else if (len & 0x80)
        fuzz_permit(&f, client, fuzz_byte(&in));
      else
        fuzz_bind(&f, client, (uint16_t)(0x4000 + len % 16), fuzz_byte(&in));
      break;
    case 6:
      if (len & 4)
        fuzz_own(&f, fuzz_byte(&in));
      else
        f.next_open_error = errors[len & 3];
      if (len >= 0xc0 && !(len & 4))
        fuzz_change(&f, client, (uint8_t)len);
      break;
    default:
      fuzz_from_peer(&f, (unsigned)len, f.port[client], bytes, fuzz_bytes(&in, bytes, fuzz_byte(&in)), 0);
    }
  }
  fuzz_engine_free(&f);
  return 0;
}
