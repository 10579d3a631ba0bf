/* SPDX-License-Identifier: Apache-2.0 */
/* What tls.c and trust.c share: mbedTLS's form of the trusted certificates. */
#ifndef PORTAL_TRUST_H
#define PORTAL_TRUST_H

#include <mbedtls/x509_crt.h>

#include "portal/tls.h"

struct portal_trust {
  mbedtls_x509_crt chain;
};

#endif
