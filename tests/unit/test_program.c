/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts of the program: secrets, credentials, and what the process sets up for itself. */
#include "testing.h"

#include "credentials.h"
#include "process.h"
#include "secret.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

/* Writes |len| bytes to a file of their own. */
static const char *file_with(const char *data, size_t len)
{
  strcpy(path, "/tmp/fzr-secret-XXXXXX");
  const int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
  close(fd);
  return path;
}

static int read_secret(const options *o, char *out, enum secret_source *source, char *error)
{
  const secret_place place = secret_place_first(o);
  return secret_read(&place, out, source, error);
}

START_TEST(test_secret_files)
{
  static char longest[SECRET_MAX + 2], too_long[SECRET_MAX + 1];
  memset(longest, 'a', SECRET_MAX);
  longest[SECRET_MAX] = '\n';
  memset(too_long, 'a', sizeof too_long);
  const struct {
    const char *data;
    size_t len;
    const char *secret; /* NULL: refused */
  } cases[] = {{"secret", 6, "secret"},
               {"secret\n", 7, "secret"},
               {"secret\r\n", 8, "secret"},
               {"secret\n\n", 8, "secret"},
               {"secret\r", 7, "secret"},
               {" \tsecret \n ", 11, "secret"},
               {"\xef\xbb\xbfsecret\r\n", 11, "secret"},
               {"\n\xef\xbb\xbf secret", 11, "secret"},
               {"\"a b\nc\"", 7, "\"a b\nc\""},
               {"\xef\xbb\xbf \n", 5, NULL},
               {longest, SECRET_MAX + 1, ""},
               {too_long, SECRET_MAX + 1, NULL},
               {"", 0, NULL},
               {"\n", 1, NULL},
               {"\r\n", 2, NULL},
               {"a\0b", 3, NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    options o = {.auth_secret_file = file_with(cases[i].data, cases[i].len), .auth_secret = "ignored"};
    char secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX] = "";
    enum secret_source source;
    const int result = read_secret(&o, secret, &source, error);
    unlink(path);
    ck_assert_msg(result == (cases[i].secret ? 0 : -1), "case %zu: %s", i, error);
    ck_assert_int_eq(source, SECRET_FILE);
    if (!cases[i].secret)
      ck_assert(strstr(error, "--auth-secret-file") && strstr(error, "expected") && !strchr(error, '\n'));
    else if (*cases[i].secret)
      ck_assert_str_eq(secret, cases[i].secret);
    else
      ck_assert_uint_eq(strlen(secret), SECRET_MAX);
  }
}
END_TEST

START_TEST(test_secret_files_that_are_none)
{
  static const char *const paths[] = {"/nonexistent/secret", "/", ""};
  for (size_t i = 0; i < 3; i++) {
    options o = {.auth_secret_file = paths[i]};
    char secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX] = "";
    enum secret_source source;
    ck_assert_int_eq(read_secret(&o, secret, &source, error), -1);
    ck_assert(strstr(error, "--auth-secret-file") && strstr(error, paths[i]) && strstr(error, "expected"));
  }
}
END_TEST

START_TEST(test_secret_in_the_environment)
{
  char secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX], too_long[SECRET_MAX + 2];
  enum secret_source source;
  options o = {.auth_secret = "secret\n"};
  ck_assert_int_eq(read_secret(&o, secret, &source, error), 0);
  ck_assert_int_eq(source, SECRET_ENVIRONMENT);
  ck_assert_str_eq(secret, "secret");
  memset(too_long, 'a', sizeof too_long - 1);
  too_long[sizeof too_long - 1] = 0;
  o.auth_secret = too_long;
  ck_assert_int_eq(read_secret(&o, secret, &source, error), -1);
  ck_assert(strstr(error, "AUTH_SECRET") && strstr(error, "expected") && !strstr(error, "aaa"));
  o.auth_secret = " \xef\xbb\xbf secret ";
  ck_assert_int_eq(read_secret(&o, secret, &source, error), 0);
  ck_assert_str_eq(secret, "secret");
  o.auth_secret = "\n";
  ck_assert_int_eq(read_secret(&o, secret, &source, error), -1);
  o.auth_secret = NULL;
  ck_assert_int_eq(read_secret(&o, secret, &source, error), 0);
  ck_assert_int_eq(source, SECRET_NONE);
  ck_assert_str_eq(secret, "");
}
END_TEST

/* Its own names are in what is said of it. */
START_TEST(test_second_secret)
{
  char secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX];
  enum secret_source source;
  options o = {.auth_secret = "first", .auth_second_secret = " second\n"};
  secret_place place = secret_place_second(&o);
  ck_assert_int_eq(secret_read(&place, secret, &source, error), 0);
  ck_assert_str_eq(secret, "second");
  o.auth_second_secret = " ";
  place = secret_place_second(&o);
  ck_assert_int_eq(secret_read(&place, secret, &source, error), -1);
  ck_assert_ptr_nonnull(strstr(error, "AUTH_SECOND_SECRET: "));
  o.auth_second_secret_file = "/nonexistent";
  place = secret_place_second(&o);
  ck_assert_int_eq(secret_read(&place, secret, &source, error), -1);
  ck_assert_ptr_nonnull(strstr(error, "--auth-second-secret-file: "));
}
END_TEST

START_TEST(test_made_secrets)
{
  char a[SECRET_MAX + 1], b[SECRET_MAX + 1];
  ck_assert_int_eq(secret_make(a), 0);
  ck_assert_int_eq(secret_make(b), 0);
  ck_assert_uint_eq(strlen(a), 64);
  ck_assert_uint_eq(strspn(a, "0123456789abcdef"), 64);
  ck_assert_str_ne(a, b);
}
END_TEST

/* The portal's is another one each time, and can't be told from any other. */
START_TEST(test_secrets_of_a_life)
{
  char a[SECRET_MAX + 1], b[SECRET_MAX + 1];
  static const char *const given[] = {"", "secret"};
  for (size_t i = 0; i < 2; i++) {
    ck_assert_int_eq(secret_of_a_life(given[i], a), 0);
    ck_assert_int_eq(secret_of_a_life(given[i], b), 0);
    ck_assert_uint_eq(strlen(a), 64);
    ck_assert_uint_eq(strspn(a, "0123456789abcdef"), 64);
    ck_assert_str_ne(a, b);
  }
}
END_TEST

START_TEST(test_secret_files_of_everybody)
{
  char name[] = "/tmp/fzr-secret-XXXXXX";
  const int fd = mkstemp(name);
  ck_assert_int_ge(fd, 0);
  const options o = {.auth_secret_file = name};
  char secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX];
  enum secret_source source;
  ck_assert_int_eq(write(fd, "secret", 6), 6);
  ck_assert_int_eq(fchmod(fd, 0640), 0);
  ck_assert_int_eq(read_secret(&o, secret, &source, error), 0);
  ck_assert_int_eq(source, SECRET_FILE);
  ck_assert_int_eq(fchmod(fd, 0644), 0);
  ck_assert_int_eq(read_secret(&o, secret, &source, error), 0);
  ck_assert_int_eq(source, SECRET_PUBLIC_FILE);
  close(fd);
  unlink(name);
}
END_TEST

/* While the relay runs, a pipe would be waited for. */
START_TEST(test_secret_files_anew)
{
  char folder[] = "/tmp/fzr-secret-XXXXXX", pipe_path[64], secret[SECRET_MAX + 1], error[OPTIONS_ERROR_MAX];
  enum secret_source source;
  ck_assert_ptr_nonnull(mkdtemp(folder));
  snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
  ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
  options o = {.auth_secret_file = pipe_path};
  secret_place place = secret_place_first(&o);
  place.anew = true;
  ck_assert_int_eq(secret_read(&place, secret, &source, error), -1);
  ck_assert_msg(strstr(error, "no regular file") != NULL, "%s", error);
  unlink(pipe_path);
  rmdir(folder);
  place.file = file_with("secret", 6);
  ck_assert_int_eq(secret_read(&place, secret, &source, error), 0);
  unlink(path);
  ck_assert_str_eq(secret, "secret");
}
END_TEST

START_TEST(test_odd_secrets)
{
  static const char *const fine[] = {"",
                                     "0123456789abcdef",
                                     "'0123456789abcdef",
                                     "0123456\"789abcdef",
                                     "\"0123456789abcd'",
                                     "0123456789 abcdef"};
  static const char *const few[] = {"x", "secret", "\"", "a b", "0123456789abcde"};
  static const char *const quoted[] = {"\"secret\"", "'secret'", "''"};
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
    ck_assert_ptr_null(secret_oddity(fine[i]));
  for (size_t i = 0; i < sizeof few / sizeof *few; i++)
    ck_assert_ptr_nonnull(strstr(secret_oddity(few[i]), "fewer than 16 bytes"));
  for (size_t i = 0; i < sizeof quoted / sizeof *quoted; i++)
    ck_assert_ptr_nonnull(strstr(secret_oddity(quoted[i]), "quotes"));
  ck_assert_ptr_nonnull(strstr(secret_oddity("one\ntwo"), "more than one line"));
}
END_TEST

START_TEST(test_credentials)
{
  static const char secret[] = "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab";
  static const char password[] = "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68";
  const struct {
    const char *format, *expected;
  } cases[] = {
      {"text", "username: 1892160000:n23JJ2wKKtt30oXi\npassword: "
               "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68\nrealm:    "
               "firezone\n"},
      {"json", "{\"username\":\"1892160000:n23JJ2wKKtt30oXi\",\"password\":\"00hqldgk5xLeKKOB+"
               "xls9mHMVtgqzie9DulfgQwMv68\","
               "\"realm\":\"firezone\",\"expires_at\":1892160000}\n"},
      {"url", "turn:203.0.113.7:3478?transport=udp&username=1892160000%3An23JJ2wKKtt30oXi&credential="
              "00hqldgk5xLeKKOB%2Bxls9mHMVtgqzie9DulfgQwMv68\n"},
      {"webrtc",
       "[{\"urls\":[\"turn:203.0.113.7:3478?transport=udp\"],\"username\":\"1892160000:n23JJ2wKKtt30oXi\","
       "\"credential\":\"00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68\"}]\n"}};
  char out[4096];
  options o = {.public_ip4 = fzt_addr("203.0.113.7"),
               .listen_port = 3478,
               .ttl_seconds = 1000,
               .auth = AUTH_STAMP,
               .realm = "firezone"};
  for (size_t i = 0; i < 4; i++) {
    o.credentials_format = cases[i].format;
    ck_assert_int_eq(credentials_format(&o, secret, 1892159000, "n23JJ2wKKtt30oXi", out, sizeof out),
                     (int)strlen(cases[i].expected));
    ck_assert_str_eq(out, cases[i].expected);
    ck_assert(strstr(out, "%2B") || strstr(out, password));
    ck_assert_int_eq(
        credentials_format(&o, secret, 1892159000, "n23JJ2wKKtt30oXi", out, strlen(cases[i].expected)), -1);
  }
  /* What a salt may hold must not break the format. */
  o.credentials_format = "json";
  ck_assert_int_gt(credentials_format(&o, secret, 0, "a\"b\\c\x01", out, sizeof out), 0);
  ck_assert_ptr_nonnull(strstr(out, "\"username\":\"1000:a\\\"b\\\\c\\u0001\""));
  char worst[SALT_MAX + 1];
  memset(worst, 1, SALT_MAX);
  worst[SALT_MAX] = 0;
  ck_assert_int_gt(credentials_format(&o, secret, 0, worst, out, sizeof out), 6 * SALT_MAX);
  ck_assert_ptr_nonnull(strstr(out, "\\u0001\",\"password\"")); /* none is cut off */
  o.credentials_format = "url";
  ck_assert_int_gt(credentials_format(&o, secret, 0, "a b&c=d/\xc3\xa9", out, sizeof out), 0);
  ck_assert_ptr_nonnull(strstr(out, "&username=1000%3Aa%20b%26c%3Dd%2F%C3%A9&credential="));
  /* An address of IPv6 alone, in brackets. */
  memset(&o.public_ip4, 0, sizeof o.public_ip4);
  o.public_ip6 = fzt_addr("2001:db8::7");
  ck_assert_int_gt(credentials_format(&o, secret, 0, "s", out, sizeof out), 0);
  ck_assert(strncmp(out, "turn:[2001:db8::7]:3478?", 24) == 0);
  /* The longest that a request can carry, today and when the expiry of its longest life has come. */
  worst[SALT_MAX - 1] = 'x';
  ck_assert_int_gt(credentials_format(&o, secret, 1892159000, worst, out, sizeof out), 0);
  char one_more[SALT_MAX + 2];
  memset(one_more, 'x', SALT_MAX + 1);
  one_more[SALT_MAX + 1] = 0;
  ck_assert_int_eq(credentials_format(&o, secret, 1892159000, one_more, out, sizeof out), -1);
  char salt[700];
  memset(salt, 'x', sizeof salt - 1);
  salt[sizeof salt - 1] = 0;
  ck_assert_int_eq(credentials_format(&o, secret, 0, salt, out, sizeof out), -1);
}
END_TEST

/* printf %s 1892160000:alice | openssl dgst -sha1 -hmac north -binary | base64 */
START_TEST(test_rest_credentials)
{
  char out[4096];
  options o = {.public_ip4 = fzt_addr("203.0.113.7"),
               .public_ip6 = fzt_addr("2001:db8::7"),
               .listen_port = 3479,
               .ttl_seconds = 1000,
               .auth = AUTH_REST,
               .realm = "example.org",
               .credentials_format = "text"};
  ck_assert_int_gt(credentials_format(&o, "north", 1892159000, "alice", out, sizeof out), 0);
  ck_assert_str_eq(
      out, "username: 1892160000:alice\npassword: tO6gO9w0y8QNFL1FJ17XIrhO37M=\nrealm:    example.org\n");
  o.credentials_format = "webrtc";
  ck_assert_int_gt(credentials_format(&o, "north", 1892159000, "a\"l", out, sizeof out), 0);
  static const char begin[] =
      "[{\"urls\":[\"turn:203.0.113.7:3479?transport=udp\","
      "\"turn:[2001:db8::7]:3479?transport=udp\"],\"username\":\"1892160000:a\\\"l\",\"credential\":\"";
  ck_assert_msg(strncmp(out, begin, sizeof begin - 1) == 0, "%s", out);
  /* Each address by TCP, too, and TLS by name. */
  o.tcp_listen_port = 3480;
  o.tls_listen_port = 443;
  o.tls_name = "relay.example";
  ck_assert_int_gt(credentials_format(&o, "north", 1892159000, "al", out, sizeof out), 0);
  static const char all[] =
      "[{\"urls\":[\"turn:203.0.113.7:3479?transport=udp\",\"turn:[2001:db8::7]:3479?transport=udp\","
      "\"turn:203.0.113.7:3480?transport=tcp\",\"turn:[2001:db8::7]:3480?transport=tcp\","
      "\"turns:relay.example:443?transport=tcp\"],\"username\":";
  ck_assert_msg(strncmp(out, all, sizeof all - 1) == 0, "%s", out);
  o.credentials_format = "url";
  ck_assert_int_gt(credentials_format(&o, "north", 1892159000, "al", out, sizeof out), 0);
  ck_assert(strncmp(out, "turn:203.0.113.7:3479?transport=udp&username=", 45) == 0);
  ck_assert(!strstr(out, "tcp") && !strstr(out, "turns:"));
  o.credentials_format = "webrtc";
  o.tcp_listen_port = o.tls_listen_port = 0;
  memset(&o.public_ip4, 0, sizeof o.public_ip4);
  ck_assert_int_gt(credentials_format(&o, "north", 1892159000, "al", out, sizeof out), 0);
  ck_assert(strncmp(out, "[{\"urls\":[\"turn:[2001:db8::7]:3479?transport=udp\"],", 51) == 0);
}
END_TEST

/* In a process of its own: what is given up does not come back. */
START_TEST(test_hardening)
{
  int status;
  const pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    struct rlimit core;
    process_harden();
    const bool privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    const bool cores = getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0;
    _exit(privileges && cores ? 0 : 1);
  }
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  ck_assert_uint_ge(process_cpus(), 1);
}
END_TEST

START_TEST(test_descriptors)
{
  int status;
  const pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    struct rlimit limit;
    const options o = {.public_ip4 = fzt_addr("127.0.0.1"), .lowest_port = 50000, .highest_port = 50001};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 32 ? limit.rlim_max : 32;
    setrlimit(RLIMIT_NOFILE, &limit);
    process_raise_descriptors(&o, 1);
    getrlimit(RLIMIT_NOFILE, &limit);
    _exit(limit.rlim_cur == limit.rlim_max ? 0 : 1);
  }
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("program");
  TCase *tc = tcase_create("program");
  tcase_add_test(tc, test_secret_files);
  tcase_add_test(tc, test_secret_files_that_are_none);
  tcase_add_test(tc, test_secret_in_the_environment);
  tcase_add_test(tc, test_second_secret);
  tcase_add_test(tc, test_made_secrets);
  tcase_add_test(tc, test_secrets_of_a_life);
  tcase_add_test(tc, test_secret_files_of_everybody);
  tcase_add_test(tc, test_secret_files_anew);
  tcase_add_test(tc, test_odd_secrets);
  tcase_add_test(tc, test_credentials);
  tcase_add_test(tc, test_rest_credentials);
  tcase_add_test(tc, test_hardening);
  tcase_add_test(tc, test_descriptors);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
