/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the certificate: when they have changed, and what they may be. */
#include "certificates.h"

#include "net/certs.h"
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/fzr-certificates-XXXXXX";
static char cert_path[64], key_path[64];
static fzt_cert cert;
static options o;
static certificates *c;

static void write_file(const char *path, const char *text)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
}

static void set_up(void)
{
  static const fzt_cert_spec spec = {.common_name = "relay.example", .dns = "relay.example"};
  char error[OPTIONS_ERROR_MAX];
  strcpy(folder, "/tmp/fzr-certificates-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
  snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
  fzt_cert_make(&spec, NULL, NULL, &cert);
  write_file(cert_path, cert.cert);
  write_file(key_path, cert.key);
  o.tls_cert = cert_path;
  o.tls_key = key_path;
  c = certificates_new(&o, error);
  ck_assert_msg(c != NULL, "%s", error);
}

static void tear_down(void)
{
  certificates_free(c);
  unlink(cert_path);
  unlink(key_path);
  rmdir(folder);
}

/* Whether it says so, once. */
static bool is_seen(void)
{
  unsigned count = 0;
  for (unsigned i = 0; i < 4; i++)
    count += certificates_changed(c);
  return count == 1;
}

/* Other data of the same length in the same file, as old as the former by its own account. */
START_TEST(test_same_time_and_size)
{
  struct stat before, now;
  ck_assert(!certificates_changed(c) && !certificates_changed(c));
  ck_assert_int_eq(stat(cert_path, &before), 0);
  do {
    write_file(cert_path, cert.cert);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    ck_assert_int_eq(utimensat(AT_FDCWD, cert_path, times, 0), 0);
    ck_assert_int_eq(stat(cert_path, &now), 0);
  } while (now.st_ctim.tv_sec == before.st_ctim.tv_sec && now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
  ck_assert_int_eq(now.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  ck_assert(is_seen());
}
END_TEST

START_TEST(test_other_file)
{
  char other[80];
  snprintf(other, sizeof other, "%s/other", folder);
  write_file(other, cert.cert);
  ck_assert_int_eq(rename(other, cert_path), 0);
  ck_assert(is_seen());
}
END_TEST

/* A pipe that nobody writes to, and a directory: the certificate stays, and nobody waits. */
START_TEST(test_no_file)
{
  char error[OPTIONS_ERROR_MAX];
  ck_assert_int_eq(unlink(cert_path), 0);
  ck_assert_int_eq(_i ? mkdir(cert_path, 0700) : mkfifo(cert_path, 0600), 0);
  ck_assert_int_eq(certificates_reread(c, NULL, error), -1);
  ck_assert_ptr_nonnull(strstr(error, "--tls-cert: can't read "));
  ck_assert_ptr_nonnull(strstr(error, "it is no regular file"));
  net_tls_identity *copy = certificates_copy(c, error);
  ck_assert_ptr_nonnull(copy);
  net_tls_identity_drop(copy);
  rmdir(cert_path);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("certificates");
  TCase *tc = tcase_create("certificates");
  tcase_add_checked_fixture(tc, set_up, tear_down);
  tcase_add_test(tc, test_same_time_and_size);
  tcase_add_test(tc, test_other_file);
  tcase_add_loop_test(tc, test_no_file, 0, 2);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
