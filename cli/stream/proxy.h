/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, version 2: the header by which a load balancer says, at the beginning of a connection, whose connection it passes
 * on. The format is haproxy's doc/proxy-protocol.txt, section 2.2. Bytes in, header out: no IO here. */
#ifndef STREAM_PROXY_H
#define STREAM_PROXY_H

#include "firezone_relay/engine.h"

/* A header is no longer. The text has no such limit, and asks senders to stay below that of a segment; what makes one long is a client's
 * certificate, where the balancer ends TLS. */
#define STREAM_PROXY_MAX 4096u
/* All that is needed to know how long it is. */
#define STREAM_PROXY_START 16u

enum stream_proxy_result {
  STREAM_PROXY_MORE, /* it goes on */
  STREAM_PROXY_DONE, /* it is whole */
  STREAM_PROXY_BAD   /* this is none */
};

typedef struct stream_proxy_header {
  size_t
      want; /* MORE: how many bytes are needed to go on, those that there are included; no more than the header has. DONE: its length */
  /* DONE: whether both are set, without a transport: who has connected, and where to. If not, the balancer speaks for itself (LOCAL), or
   * names what is no TCP over IP: then the connection's own addresses hold. */
  bool has_addresses;
  fzr_addr client, server;
  const char *error; /* BAD: why, as a sentence goes on; static */
} stream_proxy_header;

/* Looks at the |len| bytes at |data| with which a connection begins; those that follow the header may be among them. Sets *|out|, which
 * is zero where nothing is said of it. */
enum stream_proxy_result stream_proxy_read(const uint8_t *data, size_t len, stream_proxy_header *out);

/* Whether |addr| lies within one of the |count| networks at |networks|, of which address and prefix alone count. */
bool stream_proxy_is_among(const fzr_peer_rule *networks, size_t count, const fzr_addr *addr);

#endif
