/* SPDX-License-Identifier: Apache-2.0 */
/* A client's side of TLS that takes any certificate: it is a server's speed that is asked for. */
#ifndef BENCH_WIRE_TLS_H
#define BENCH_WIRE_TLS_H

#include <stddef.h>
#include <stdint.h>

typedef struct wire_tls wire_tls;

/* Results below 0. */
enum { WIRE_TLS_WAIT = -1, WIRE_TLS_FAILED = -2 };

/* Where ciphertext goes and comes from: both return how many bytes, WIRE_TLS_WAIT or WIRE_TLS_FAILED; recv 0 at the end. NULL without
 * memory. */
wire_tls *wire_tls_new(int (*send)(void *ctx, const unsigned char *data, size_t len),
                       int (*recv)(void *ctx, unsigned char *out, size_t cap), void *ctx);
void wire_tls_free(wire_tls *t);
/* Each returns 0 or more, or one of the above. */
int wire_tls_shake(wire_tls *t);
int wire_tls_read(wire_tls *t, uint8_t *out, size_t cap);
int wire_tls_write(wire_tls *t, const uint8_t *data, size_t len);

#endif
