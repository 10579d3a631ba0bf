/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of errors and drop reasons. */
#include "testing.h"

START_TEST(test_error_texts)
{
  static const int errors[] = {
      0,
      FZR_ERR_INVALID_ARGUMENT,
      FZR_ERR_BUFFER_TOO_SMALL,
      FZR_ERR_INVALID_STATE,
      FZR_ERR_UNSUPPORTED,
      FZR_ERR_CONFIG_ADDRESS,
      FZR_ERR_CONFIG_PORTS,
      FZR_ERR_CONFIG_AUTH,
      FZR_ERR_CONFIG_RULE,
      FZR_ERR_CONFIG_LIMIT,
      FZR_ERR_STATE_ADDRESS,
      FZR_ERR_STATE_PORT,
      FZR_ERR_STATE_LIMIT,
      FZR_ERR_NO_MEMORY,
      FZR_ERR_NO_RANDOM,
      FZR_ERR_NO_PORT,
      FZR_ERR_NO_CHANNEL,
      FZR_ERR_IO,
      FZR_ERR_IO_IN_USE,
      FZR_ERR_IO_NO_SOCKET,
      FZR_ERR_IO_PENDING,
      FZR_ERR_STATE_DAMAGED,
      FZR_ERR_STATE_VERSION,
      FZR_ERR_STATE_FOREIGN,
  };
  const size_t n = sizeof errors / sizeof *errors;
  for (size_t i = 0; i < n; i++) {
    ck_assert_str_ne(fzr_strerror(errors[i]), "unknown error");
    for (size_t k = 0; k < i; k++)
      ck_assert_str_ne(fzr_strerror(errors[i]), fzr_strerror(errors[k]));
  }
  ck_assert_str_eq(fzr_strerror(-12345), "unknown error");
  ck_assert_str_eq(fzr_strerror(1), "unknown error");
  for (unsigned i = 0; i < FZR_DROP_REASONS; i++) {
    /* Fit for a label. */
    ck_assert_uint_eq(strspn(fzr_drop_reason_name(i), "abcdefghijklmnopqrstuvwxyz_"),
                      strlen(fzr_drop_reason_name(i)));
    ck_assert_str_ne(fzr_drop_reason_name(i), "unknown");
    for (unsigned k = 0; k < i; k++)
      ck_assert_str_ne(fzr_drop_reason_name(i), fzr_drop_reason_name(k));
  }
  ck_assert_str_eq(fzr_drop_reason_name(FZR_DROP_REASONS), "unknown");
  ck_assert_str_eq(fzr_drop_reason_name(UINT32_MAX), "unknown");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("error");
  TCase *tc = tcase_create("error");
  tcase_add_test(tc, test_error_texts);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
