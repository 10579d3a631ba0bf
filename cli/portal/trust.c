/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/trust.h"

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

static bool has_any(const portal_trust *trust)
{
  return trust->chain.version != 0;
}

static void load_dirs(portal_trust *trust, const char *list)
{
  char dir[256];
  while (*list != '\0') {
    const size_t len = strcspn(list, ":");
    if (len > 0 && len < sizeof dir) {
      memcpy(dir, list, len);
      dir[len] = '\0';
      (void)mbedtls_x509_crt_parse_path(&trust->chain, dir);
    }
    list += len + (list[len] == ':');
  }
}

static void load_system(portal_trust *trust)
{
  for (size_t i = 0; i < sizeof system_files / sizeof system_files[0] && !has_any(trust); i++)
    (void)mbedtls_x509_crt_parse_file(&trust->chain, system_files[i]);
  if (!has_any(trust))
    load_dirs(trust, SYSTEM_DIR);
}

portal_trust *portal_trust_load(char *(*env)(const char *name), char error[PORTAL_TLS_ERROR_MAX])
{
  const char *file = env("SSL_CERT_FILE");
  const char *dirs = env("SSL_CERT_DIR");
  const bool has_file = file != NULL && *file != '\0';
  const bool has_dirs = dirs != NULL && *dirs != '\0';
  portal_trust *trust = malloc(sizeof *trust);
  if (trust == NULL) {
    (void)snprintf(error, PORTAL_TLS_ERROR_MAX, "out of memory");
    return NULL;
  }
  mbedtls_x509_crt_init(&trust->chain);
  if (has_file)
    (void)mbedtls_x509_crt_parse_file(&trust->chain, file);
  if (has_dirs)
    load_dirs(trust, dirs);
  if (!has_file && !has_dirs)
    load_system(trust);
  if (has_any(trust))
    return trust;
  (void)snprintf(error, PORTAL_TLS_ERROR_MAX, "no CA certificate found in %s%.80s%s%.80s",
                 has_file ? "SSL_CERT_FILE=" : "", has_file ? file : "",
                 has_dirs   ? " SSL_CERT_DIR="
                 : has_file ? ""
                            : "the system's bundle: install ca-certificates or set SSL_CERT_FILE",
                 has_dirs ? dirs : "");
  portal_trust_free(trust);
  return NULL;
}

portal_trust *portal_trust_load_file(const char *path, char error[PORTAL_TLS_ERROR_MAX])
{
  portal_trust *trust = malloc(sizeof *trust);
  if (trust == NULL) {
    (void)snprintf(error, PORTAL_TLS_ERROR_MAX, "out of memory");
    return NULL;
  }
  mbedtls_x509_crt_init(&trust->chain);
  (void)mbedtls_x509_crt_parse_file(&trust->chain, path);
  if (has_any(trust))
    return trust;
  (void)snprintf(error, PORTAL_TLS_ERROR_MAX, "no CA certificate found in %.160s", path);
  portal_trust_free(trust);
  return NULL;
}

void portal_trust_free(portal_trust *trust)
{
  if (trust == NULL)
    return;
  mbedtls_x509_crt_free(&trust->chain);
  free(trust);
}
