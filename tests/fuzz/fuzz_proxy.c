/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection from a load balancer begins with. However it is cut, it comes to the same: no byte more changes what was said of fewer. */
#include "fuzz.h"

#include "stream/proxy.h"

static void check(enum stream_proxy_result result, const stream_proxy_header *out, size_t len)
{
  FUZZ_CHECK((result == STREAM_PROXY_BAD) == (out->error != NULL));
  FUZZ_CHECK(result == STREAM_PROXY_DONE || !out->has_addresses);
  FUZZ_CHECK(out->has_addresses == (out->client.port != 0));
  FUZZ_CHECK(result != STREAM_PROXY_MORE || (out->want > len && out->want <= STREAM_PROXY_MAX));
  FUZZ_CHECK(result != STREAM_PROXY_DONE || (out->want <= len && out->want >= STREAM_PROXY_START));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  stream_proxy_header whole;
  const enum stream_proxy_result result = stream_proxy_read(data, size, &whole);
  check(result, &whole, size);
  size_t wanted = 0;
  for (size_t len = 0; len <= size; len++) {
    stream_proxy_header out;
    uint8_t *piece = fuzz_exact(data, len);
    const enum stream_proxy_result at = stream_proxy_read(piece, len, &out);
    free(piece);
    check(at, &out, len);
    /* Whoever reads just what is wanted meets every end. */
    if (at == STREAM_PROXY_MORE) {
      FUZZ_CHECK(out.want >= wanted);
      wanted = out.want;
      continue;
    }
    FUZZ_CHECK(at == result && out.want == whole.want);
    FUZZ_CHECK(at != STREAM_PROXY_DONE || (len == out.want && wanted <= len));
    FUZZ_CHECK(fzr_addr_equal(&out.client, &whole.client) && fzr_addr_equal(&out.server, &whole.server));
    break;
  }
  fuzz_sink = whole.client.port;
  return 0;
}
