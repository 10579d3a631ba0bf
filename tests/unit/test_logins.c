/* SPDX-License-Identifier: Apache-2.0 */
/* What clients log in with: files of users, what is said of those that are wrong, and what stays when they are read anew. */
#include "testing.h"

#include "logins.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];
static notes found;
static char error[OPTIONS_ERROR_MAX];

static const char *file_with(const char *data, size_t len)
{
  strcpy(path, "/tmp/fzr-logins-XXXXXX");
  const int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
  close(fd);
  return path;
}

static int read_text(const char *text, size_t len, bool beside_rest, users_table *out)
{
  found = (notes){0};
  error[0] = 0;
  file_with(text, len);
  const int result = users_read(path, beside_rest, false, out, &found, error);
  unlink(path);
  return result;
}

START_TEST(test_files_of_users)
{
  users_table users;
  static const char text[] = "\xef\xbb\xbf# users of example.org\r\n"
                             "\n"
                             "  zoe:pass:word \t\r\n"
                             "alice:wonderland\n"
                             "  # alice:other\n"
                             " \t \n"
                             "Zo\xc3\xab:\xc3\xa9t\xc3\xa9\n"
                             "bob:0x8493fbc53ba582FB4c044c456bdc40eb";
  static const uint8_t key[] = {0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb,
                                0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb};
  ck_assert_msg(read_text(text, sizeof text - 1, true, &users) == 0, "%s", error);
  ck_assert_uint_eq(users.count, 4);
  ck_assert_uint_eq(found.count, 0);
  ck_assert_str_eq(users_find(&users, "alice")->password, "wonderland");
  ck_assert_str_eq(users_find(&users, "zoe")->password, "pass:word");
  ck_assert_str_eq(users_find(&users, "Zo\xc3\xab")->password, "\xc3\xa9t\xc3\xa9");
  const fzr_user *bob = users_find(&users, "bob");
  ck_assert(!bob->password);
  ck_assert_mem_eq(bob->key, key, sizeof key);
  ck_assert_ptr_null(users_find(&users, "carol"));
  users_free(&users);
  ck_assert(!users.list && !users.count);
  /* Without rest, digits are a name like any other. */
  ck_assert_int_eq(read_text("5551234:x\n", 10, false, &users), 0);
  ck_assert_str_eq(users_find(&users, "5551234")->password, "x");
  users_free(&users);
}
END_TEST

/* A file as large as an operator's gets, read in pieces. */
START_TEST(test_many_users)
{
  enum { MOST = 5000 };
  static char text[MOST * 32];
  char name[32];
  users_table users;
  size_t len = 0;
  for (unsigned i = 0; i < MOST; i++)
    len += (size_t)sprintf(text + len, "user%u:password %u\n", (i * 7919u) % MOST, i);
  ck_assert_msg(read_text(text, len, false, &users) == 0, "%s", error);
  ck_assert_uint_eq(users.count, MOST);
  for (unsigned i = 0; i < MOST; i += 97) {
    snprintf(name, sizeof name, "user%u", i);
    ck_assert_ptr_nonnull(users_find(&users, name));
  }
  users_free(&users);
}
END_TEST

/* A reload has to be over in a moment. */
START_TEST(test_too_many_users)
{
  enum { MOST = 100000 };
  static char text[(MOST + 1) * 16];
  users_table users;
  size_t len = 0;
  for (unsigned i = 0; i < MOST; i++)
    len += (size_t)sprintf(text + len, "u%u:p\n", i);
  ck_assert_msg(read_text(text, len, false, &users) == 0, "%s", error);
  ck_assert_uint_eq(users.count, MOST);
  users_free(&users);
  len += (size_t)sprintf(text + len, "one:more\n");
  ck_assert_int_eq(read_text(text, len, false, &users), -1);
  ck_assert_msg(strstr(error, ":100001: there are too many users: expected at most 100000,") != NULL, "%s",
                error);
}
END_TEST

static char long_name[512];

START_TEST(test_lines_that_are_wrong)
{
  memset(long_name, 'n', 509);
  memcpy(long_name + 509, ":x", 3);
  const struct {
    const char *text;
    unsigned line;
    const char *what;
  } rows[] = {
      {"alice:a\nS3CRET\n", 2, "there is no colon: expected user:password or user:0xKEY"},
      {"\n\n:S3CRET\n", 3, "a name is missing: expected user:password or user:0xKEY"},
      {"alice:\n", 1, "'alice' has no password: expected user:password or user:0xKEY"},
      {"alice: \t\n", 1, "'alice' has no password: expected user:password or user:0xKEY"},
      {"alice:0x12\n", 1, "'alice' has no right key: expected 0x and 32 hexadecimal digits"},
      {"alice:0x\n", 1, "'alice' has no right key: expected 0x and 32 hexadecimal digits"},
      {"alice:0x8493fbc53ba582fb4c044c456bdc40eg", 1, "expected 0x and 32 hexadecimal digits"},
      {"alice:0x8493fbc53ba582fb4c044c456bdc40eb0", 1, "expected 0x and 32 hexadecimal digits"},
      {"a:b\n\xe9t\xe9:S3CRET\n", 2,
       "the name is not UTF-8, so that nobody can log in by it: expected UTF-8"},
      {"b:x\na:x\n# c\nb:y\n", 4, "'b' is there already: expected one line a user, not line 1, too"},
      {"1700000000:S3CRET\n", 1, "expected one that is not of digits alone"},
      {long_name, 1, "the name is too long: expected at most 508 bytes"},
  };
  users_table users;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char begin[128];
    ck_assert_msg(read_text(rows[i].text, strlen(rows[i].text), true, &users) == -1, "%s", rows[i].text);
    snprintf(begin, sizeof begin, "--users-file: %s:%u: ", path, rows[i].line);
    ck_assert_msg(strncmp(error, begin, strlen(begin)) == 0, "%s, not %s", error, begin);
    ck_assert_msg(strstr(error, rows[i].what) != NULL, "%s, not %s", error, rows[i].what);
    ck_assert_ptr_null(strstr(error, "S3CRET"));
    ck_assert_ptr_null(strchr(error, '\n'));
    ck_assert(!users.list && !users.text && !users.count);
  }
  ck_assert_int_eq(read_text("a:b\nc\0:d\n", 9, true, &users), -1);
  ck_assert_ptr_nonnull(strstr(error, ":2: there is a byte 0: expected text"));
}
END_TEST

START_TEST(test_files_without_users)
{
  static const char *const nobody[] = {"", "\n", "# a:b\n", " \t\r\n\xef\xbb\xbf"};
  users_table users;
  for (size_t i = 0; i < 3; i++) {
    ck_assert_int_eq(read_text(nobody[i], strlen(nobody[i]), false, &users), -1);
    ck_assert_msg(strstr(error, "there is no user in '") && strstr(error, ": expected lines"), "%s", error);
  }
  static const char *const none[] = {"/nonexistent/users", "/", ""};
  for (size_t i = 0; i < 3; i++) {
    ck_assert_int_eq(users_read(none[i], false, false, &users, &found, error), -1);
    ck_assert_msg(strstr(error, "--users-file: can't read '") && strstr(error, none[i]), "%s", error);
  }
  ck_assert_int_eq(users_read("/dev/zero", false, false, &users, &found, error), -1);
  ck_assert_ptr_nonnull(strstr(error, "it has more than 16 MB"));
  ck_assert_int_eq(users_read("/dev/zero", false, true, &users, &found, error), -1);
  ck_assert_msg(strstr(error, "it is no regular file") != NULL, "%s", error);
}
END_TEST

/* What can be meant is taken, and said. */
START_TEST(test_lines_that_look_wrong)
{
  static const struct {
    const char *text, *name, *password, *what;
  } rows[] = {
      {"alice:\"wonder\"", "alice", "\"wonder\"", "quotes are taken as a part"},
      {"'alice':wonder", "'alice'", "wonder", "quotes are taken as a part"},
      {"alice: wonder", "alice", " wonder", "blanks beside the colon"},
      {"alice :wonder", "alice ", "wonder", "blanks beside the colon"},
      {"user=alice:wonder", "user=alice", "wonder", "'user=' is taken as a part of the name"},
      {"alice:wonder # mine", "alice", "wonder # mine", "a comment needs a line of its own"},
      {"alice:w\xf6nder", "alice", "w\xf6nder", "the password is not UTF-8"},
  };
  users_table users;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_msg(read_text(rows[i].text, strlen(rows[i].text), false, &users) == 0, "%s", error);
    ck_assert_uint_eq(found.count, 1);
    ck_assert_msg(strstr(found.lines[0], rows[i].what) && strstr(found.lines[0], ":1 looks wrong: "), "%s",
                  found.lines[0]);
    ck_assert_ptr_null(strstr(found.lines[0], "onder"));
    ck_assert_str_eq(users_find(&users, rows[i].name)->password, rows[i].password);
    users_free(&users);
  }
  /* There is an end to it. */
  char text[NOTES_MAX * 16 + 64] = "";
  for (unsigned i = 0; i < NOTES_MAX + 3; i++)
    sprintf(text + strlen(text), "u%u: x\n", i);
  ck_assert_int_eq(read_text(text, strlen(text), false, &users), 0);
  ck_assert_uint_eq(found.count, NOTES_MAX);
  ck_assert_uint_eq(found.more, 3);
  users_free(&users);
}
END_TEST

START_TEST(test_a_file_that_everybody_can_read)
{
  users_table users;
  file_with("a:b\n", 4);
  ck_assert_int_eq(chmod(path, 0644), 0);
  found = (notes){0};
  ck_assert_int_eq(users_read(path, false, false, &users, &found, error), 0);
  unlink(path);
  ck_assert_uint_eq(found.count, 1);
  ck_assert_ptr_nonnull(strstr(found.lines[0], "Everybody on this host can read "));
  users_free(&users);
}
END_TEST

/* ---- all of it ---- */

static void rewrite(const char *text)
{
  FILE *f = fopen(path, "w");
  ck_assert_ptr_nonnull(f);
  ck_assert_int_ge(fputs(text, f), 0);
  ck_assert_int_eq(fclose(f), 0);
}

START_TEST(test_made_secrets_stay)
{
  logins *first, *second;
  found = (notes){0};
  options o = {.auth = AUTH_STAMP};
  ck_assert_int_eq(logins_read(&o, NULL, &first, &found, error), 0);
  ck_assert_uint_eq(strlen(first->secrets.first), 64);
  ck_assert_int_eq(logins_read(&o, first, &second, &found, error), 0);
  ck_assert_str_eq(first->secrets.first, second->secrets.first);
  ck_assert(logins_are_nobodys(&o) && !logins_have_files(&o));
  logins_drop(first);
  logins_drop(second);
  /* The portal has the one of this life; beside it the operator's may change. */
  o.token = "token";
  o.auth_secret_file = file_with("the operator's old secret", 25);
  ck_assert(logins_have_files(&o));
  ck_assert_int_eq(logins_read(&o, NULL, &first, &found, error), 0);
  ck_assert_str_eq(first->secrets.second, "the operator's old secret");
  rewrite("the operator's new secret\n");
  ck_assert_int_eq(logins_read(&o, first, &second, &found, error), 0);
  ck_assert_str_eq(first->secrets.first, second->secrets.first);
  ck_assert_str_eq(second->secrets.second, "the operator's new secret");
  unlink(path);
  logins *third = NULL;
  ck_assert_int_eq(logins_read(&o, second, &third, &found, error), EXIT_USAGE);
  ck_assert_ptr_null(third);
  logins_drop(first);
  logins_drop(second);
  ck_assert_uint_eq(found.count, 0);
}
END_TEST

/* A secret that stands in the file of --config is named as what it is there. */
START_TEST(test_secrets_of_a_configuration)
{
  char text[] = "north\0south";
  logins *l;
  found = (notes){0};
  options o = {.auth = AUTH_REST,
               .auth_secret = text,
               .auth_second_secret = text + 6,
               .config = {.path = "/relay.conf", .text = {.data = text, .len = sizeof text}}};
  ck_assert_msg(logins_read(&o, NULL, &l, &found, error) == 0, "%s", error);
  logins_drop(l);
  ck_assert_uint_eq(found.count, 2);
  ck_assert_ptr_nonnull(
      strstr(found.lines[0], "The secret of auth-secret in the file of --config looks wrong: it has fewer"));
  ck_assert_ptr_nonnull(strstr(
      found.lines[1], "The secret of auth-second-secret in the file of --config looks wrong: it has fewer"));
  /* One of the environment beside that file is not. */
  found = (notes){0};
  o.auth_secret = "north";
  o.auth_second_secret = NULL;
  ck_assert_msg(logins_read(&o, NULL, &l, &found, error) == 0, "%s", error);
  logins_drop(l);
  ck_assert_uint_eq(found.count, 1);
  ck_assert_ptr_nonnull(strstr(found.lines[0], "The secret of AUTH_SECRET looks wrong: it has fewer"));
}
END_TEST

START_TEST(test_secrets_and_users)
{
  logins *l;
  found = (notes){0};
  options o = {.auth = AUTH_REST | AUTH_STATIC,
               .auth_secret = "the new secret of all",
               .auth_second_secret = "\"the old secret of all\"",
               .users_file = file_with("alice:wonderland\n", 17)};
  ck_assert_msg(logins_read(&o, NULL, &l, &found, error) == 0, "%s", error);
  unlink(path);
  ck_assert_str_eq(l->secrets.first, "the new secret of all");
  ck_assert_str_eq(l->secrets.second, "\"the old secret of all\"");
  ck_assert_uint_eq(found.count, 1);
  ck_assert_ptr_nonnull(strstr(found.lines[0], "AUTH_SECOND_SECRET looks wrong: it stands in quotes"));
  ck_assert_uint_eq(l->users.count, 1);
  ck_assert(logins_hold(l) == l);
  logins_drop(l);
  ck_assert_str_eq(l->users.list[0].username, "alice");
  logins_drop(l);
  logins_drop(NULL);
  /* Names that the secret makes are none of the users'. */
  o.users_file = file_with("17:x\n", 5);
  ck_assert_int_eq(logins_read(&o, NULL, &l, &found, error), EXIT_USAGE);
  ck_assert_ptr_nonnull(strstr(error, "digits"));
  /* Where there are only users, no secret is looked for. */
  o.auth = AUTH_STATIC;
  o.auth_secret_file = "/nonexistent";
  ck_assert_int_eq(logins_read(&o, NULL, &l, &found, error), 0);
  unlink(path);
  ck_assert_str_eq(l->secrets.first, "");
  logins_drop(l);
}
END_TEST

/* The last one that takes them wipes what nobody needs any more, and says so if all went well. */
START_TEST(test_what_was_taken)
{
  logins *l;
  found = (notes){0};
  options o = {.auth = AUTH_STATIC, .users_file = file_with("alice:wonderland\n", 17)};
  for (unsigned refusals = 0; refusals < 2; refusals++) {
    ck_assert_msg(logins_read(&o, NULL, &l, &found, error) == 0, "%s", error);
    logins_await(l, 3);
    ck_assert(!logins_taken(l, true));
    ck_assert(!logins_taken(l, !refusals));
    ck_assert_str_eq(l->users.list[0].password, "wonderland");
    ck_assert(logins_taken(l, true) == !refusals);
    ck_assert(!l->users.list && !l->users.text);
    ck_assert_uint_eq(l->users.count, 1);
    logins_drop(l);
  }
  unlink(path);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("logins");
  TCase *tc = tcase_create("logins");
  tcase_add_test(tc, test_files_of_users);
  tcase_add_test(tc, test_many_users);
  tcase_add_test(tc, test_too_many_users);
  tcase_add_test(tc, test_lines_that_are_wrong);
  tcase_add_test(tc, test_files_without_users);
  tcase_add_test(tc, test_lines_that_look_wrong);
  tcase_add_test(tc, test_a_file_that_everybody_can_read);
  tcase_add_test(tc, test_made_secrets_stay);
  tcase_add_test(tc, test_secrets_of_a_configuration);
  tcase_add_test(tc, test_secrets_and_users);
  tcase_add_test(tc, test_what_was_taken);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
