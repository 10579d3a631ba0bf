/* SPDX-License-Identifier: Apache-2.0 */
/* What the handshake of a server's side agreed upon, on its way from mbedTLS to tls_records.h. */
#ifndef NET_TLS_KEYS_H
#define NET_TLS_KEYS_H

#include "net/tls_internal.h"

/* Of one connection, until its handshake is done. */
typedef struct net_tls_keys net_tls_keys;

/* Before each step of the handshake of |tls|, whose configuration is |config|. */
void net_tls_keys_expect(net_tls *tls, mbedtls_ssl_config *config);
/* After the handshake. tls->records is there then, and mbedTLS's memory given back. Returns 0, or an error of mbedTLS: memory is out, or there is more behind
 * the handshake's last message in its record, of which nobody knows the keys. */
int net_tls_keys_take_over(net_tls *tls);
/* Forgets them. */
void net_tls_keys_drop(net_tls *tls);

#endif
