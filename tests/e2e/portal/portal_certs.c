/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the certificates of the end-to-end tests into a directory: ca.pem, and for each kind a NAME.pem and NAME.key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"

#define CA_NAME "Test authority"

static void write_file(const char *dir, const char *name, const char *suffix, const char *text)
{
  char path[1024];
  (void)snprintf(path, sizeof path, "%s/%s.%s", dir, name, suffix);
  FILE *file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
    perror(path);
    exit(1);
  }
}

int main(int argc, char **argv)
{
  static const struct {
    const char *file;
    fzt_cert_spec spec;
    int self_signed;
  } kinds[] = {
      {"good", {.common_name = "localhost", .dns = "localhost", .ip = "127.0.0.1"}, 0},
      {"other", {.common_name = "localhost", .dns = "portal.example", .ip = "127.0.0.2"}, 0},
      {"rsa", {.common_name = "localhost", .dns = "localhost", .ip = "127.0.0.1", .rsa = 1}, 0},
      {"cn_only", {.common_name = "localhost"}, 0},
      {"self", {.common_name = "localhost", .dns = "localhost", .ip = "127.0.0.1"}, 1},
      {"expired",
       {.common_name = "localhost",
        .dns = "localhost",
        .not_before = "20200101000000",
        .not_after = "20210101000000"},
       0},
      {"future",
       {.common_name = "localhost",
        .dns = "localhost",
        .not_before = "20900101000000",
        .not_after = "20910101000000"},
       0},
  };
  if (argc != 2)
    return 2;
  fzt_cert ca, cert;
  const fzt_cert_spec ca_spec = {.common_name = CA_NAME, .is_ca = 1};
  fzt_cert_make(&ca_spec, NULL, NULL, &ca);
  write_file(argv[1], "ca", "pem", ca.cert);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    fzt_cert_make(&kinds[i].spec, kinds[i].self_signed ? NULL : &ca, CA_NAME, &cert);
    write_file(argv[1], kinds[i].file, "pem", cert.cert);
    write_file(argv[1], kinds[i].file, "key", cert.key);
  }
  return 0;
}
