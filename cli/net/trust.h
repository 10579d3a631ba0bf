/* SPDX-License-Identifier: Apache-2.0 */
/* What tls.c and trust.c share: mbedTLS's form of the trusted certificates. */
#ifndef NET_TRUST_H
#define NET_TRUST_H

#include "net/tls.h"

#include <mbedtls/x509_crt.h>

struct net_trust {
  mbedtls_x509_crt chain;
};

#endif
