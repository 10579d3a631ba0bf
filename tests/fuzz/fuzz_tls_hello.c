/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of TLS begins with: the first byte says how it is cut. However it is, it offers the same. */
#include "fuzz.h"

#include "net/tls_hello.h"

static const char *const protocols[] = {"stun.turn", "stun.nat-discovery", NULL};

static void read_all(net_tls_hello *h, const uint8_t *data, size_t size, size_t step)
{
  memset(h, 0, sizeof *h);
  for (size_t at = 0, n; at < size; at += n) {
    n = step < size - at ? step : size - at;
    const bool over = h->done;
    net_tls_hello_read(h, data + at, n, protocols);
    FUZZ_CHECK(h->done || !over);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input in = {data, size};
  const size_t step = 1u + fuzz_byte(&in);
  net_tls_hello whole, cut, bytes;
  read_all(&whole, in.data, in.size, in.size ? in.size : 1);
  read_all(&cut, in.data, in.size, step);
  read_all(&bytes, in.data, in.size, 1);
  FUZZ_CHECK(memcmp(&whole, &cut, sizeof whole) == 0 && memcmp(&whole, &bytes, sizeof whole) == 0);
  FUZZ_CHECK(!whole.known || whole.offers);
  fuzz_sink = net_tls_hello_is_foreign(&whole);
  return 0;
}
