/* SPDX-License-Identifier: Apache-2.0 */
#include "net/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where distributions keep the bundle; the first that gives a certificate is taken. */
static const char *const system_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Alpine, Arch */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* older RHEL */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/ssl/cert.pem",                                 /* Alpine, BSDs */
};
#define SYSTEM_DIR "/etc/ssl/certs"

static bool has_any(const net_trust *trust)
{
  return trust->chain.version != 0;
}

static void load_dirs(net_trust *trust, const char *list)
{
  char dir[256];
  while (*list) {
    const size_t len = strcspn(list, ":");
    if (len > 0 && len < sizeof dir) {
      memcpy(dir, list, len);
      dir[len] = '\0';
      mbedtls_x509_crt_parse_path(&trust->chain, dir);
    }
    list += len + (list[len] == ':');
  }
}

static void load_system(net_trust *trust)
{
  for (size_t i = 0; i < sizeof system_files / sizeof system_files[0] && !has_any(trust); i++)
    mbedtls_x509_crt_parse_file(&trust->chain, system_files[i]);
  if (!has_any(trust))
    load_dirs(trust, SYSTEM_DIR);
}

net_trust *net_trust_load(char *(*env)(const char *name), char error[NET_TLS_ERROR_MAX])
{
  const char *file = env("SSL_CERT_FILE");
  const char *dirs = env("SSL_CERT_DIR");
  const bool has_file = file != NULL && *file != '\0';
  const bool has_dirs = dirs != NULL && *dirs != '\0';
  net_trust *trust = malloc(sizeof *trust);
  if (!trust) {
    snprintf(error, NET_TLS_ERROR_MAX, "out of memory");
    return NULL;
  }
  mbedtls_x509_crt_init(&trust->chain);
  if (has_file)
    mbedtls_x509_crt_parse_file(&trust->chain, file);
  if (has_dirs)
    load_dirs(trust, dirs);
  if (!has_file && !has_dirs)
    load_system(trust);
  if (has_any(trust))
    return trust;
  snprintf(error, NET_TLS_ERROR_MAX, "no CA certificate found in %s%.80s%s%.80s",
           has_file ? "SSL_CERT_FILE=" : "", has_file ? file : "",
           has_dirs   ? " SSL_CERT_DIR="
           : has_file ? ""
                      : "the system's bundle: install ca-certificates or set SSL_CERT_FILE",
           has_dirs ? dirs : "");
  net_trust_free(trust);
  return NULL;
}

net_trust *net_trust_load_file(const char *path, char error[NET_TLS_ERROR_MAX])
{
  net_trust *trust = malloc(sizeof *trust);
  if (!trust) {
    snprintf(error, NET_TLS_ERROR_MAX, "out of memory");
    return NULL;
  }
  mbedtls_x509_crt_init(&trust->chain);
  mbedtls_x509_crt_parse_file(&trust->chain, path);
  if (has_any(trust))
    return trust;
  snprintf(error, NET_TLS_ERROR_MAX, "no CA certificate found in %.160s", path);
  net_trust_free(trust);
  return NULL;
}

void net_trust_free(net_trust *trust)
{
  if (!trust)
    return;
  mbedtls_x509_crt_free(&trust->chain);
  free(trust);
}
