/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of TLS: nobody is asked for a certificate, any SNI gets the same one, ALPN takes stun.turn and stun.nat-discovery (RFC 7443)
 * where a client offers some, and goes on without where it offers others alone. What a connection does then is in tls.h. */
#ifndef NET_TLS_SERVER_H
#define NET_TLS_SERVER_H

#include "net/tls.h"

/* A certificate with its key, for one thread: what keys compute with is not to be shared. */
typedef struct net_tls_identity net_tls_identity;

/* Reads the |cert_len| bytes of PEM at |cert|, the server's certificate and those between it and an authority, and its key. Each ends with a zero,
 * which counts. Returns it, held once; or NULL with one line in |error|. */
net_tls_identity *net_tls_identity_new(const uint8_t *cert, size_t cert_len, const uint8_t *key,
                                       size_t key_len, char error[NET_TLS_ERROR_MAX]);
/* Connections hold what they were begun with. */
net_tls_identity *net_tls_identity_hold(net_tls_identity *identity);
/* The last one frees it. NULL is fine. */
void net_tls_identity_drop(net_tls_identity *identity);
/* Until when the certificate is good, as "2027-01-31 12:00:00" in UTC. */
void net_tls_identity_end(const net_tls_identity *identity, char *out, size_t cap);
/* Whether that is over, or has not begun. */
bool net_tls_identity_is_out_of_date(const net_tls_identity *identity);

/* Makes the server's side of a connection, which holds |identity|; |io| is copied. net_tls_handshake is next. NULL without memory. */
net_tls *net_tls_accept(net_tls_identity *identity, const net_tls_io *io);

#endif
