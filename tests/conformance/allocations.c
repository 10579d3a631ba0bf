/* SPDX-License-Identifier: Apache-2.0 */
/* How allocations come to be, beside what conformance.c has of it: another server (RFC 8489 section 10). The words are explained in
 * dsl.h. */
#include "dsl.h"

#define ALLOCATED "nonce ; allocate transport=17 ; "
#define OK_V4     "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 software mi"
#define ALT       "alternate4=192.0.2.77:3478 "
#define ALT_BOTH  ALT "alternate6=[2001:db8::77]:443 "
#define SENT_AWAY "error 300 alternate=192.0.2.77:3478"

static const fzt_row rows[] = {
    /* ---- 300 (Try Alternate) ---- */
    {"8489 10", ALT, "draining ; allocate anonymous transport=17", SENT_AWAY},
    {"8489 10: fingerprint", ALT, "draining ; allocate anonymous transport=17 fingerprint",
     SENT_AWAY " fingerprint"},
    {"8489 10: after authentication", ALT, "nonce ; draining ; allocate transport=17",
     SENT_AWAY " software mi"},
    {"8489 10: after authentication", ALT, "nonce ; draining ; allocate transport=17 bad-mi",
     "error 401 realm=firezone nonce software"},
    {"8489 10: after authentication", ALT, "draining ; allocate transport=17",
     "error 401 realm=firezone nonce mi"},
    {"8489 10: its family", ALT, "draining ; source [2001:db8::7]:9 ; allocate anonymous transport=17",
     "error 401 realm=firezone nonce"},
    {"8489 10: its family", ALT_BOTH, "draining ; source [2001:db8::7]:9 ; allocate anonymous transport=17",
     "error 300 alternate=[2001:db8::77]:443"},
    {"8489 10: its family", ALT_BOTH, "draining ; allocate anonymous transport=17", SENT_AWAY},
    {"8489 10: its family", "alternate6=[2001:db8::77]:443", "nonce ; draining ; allocate transport=17",
     "error 508 software mi"},
    {"8656 7.2: nobody is sent away", ALT, ALLOCATED "expect-allocations 1", OK_V4},
    {"8656 7.2: nobody is sent away", ALT, "allocate anonymous transport=17",
     "error 401 realm=firezone nonce"},
    {"8656 7.2: has an allocation", ALT, ALLOCATED "draining ; allocate transport=17",
     "error 437 software mi"},
    {"8656 7.2: its answer was lost", ALT, ALLOCATED "draining ; allocate transport=17 same-tid", OK_V4},
    {"8656 8.2", ALT, ALLOCATED "draining ; refresh", "success lifetime=600 software mi"},
    {"8656 8.2", ALT, "draining ; refresh anonymous", "error 401 realm=firezone nonce"},
    {"8656 12.2", ALT, ALLOCATED "draining ; bind chan=0x4000 peer=203.0.113.9:5000", "success software mi"},
    {"8489 12.1", ALT, "draining ; binding", "success mapped=198.51.100.1:40001"},
    {"8656 7.2: the load", ALT "over=1", ALLOCATED "client 2 ; allocate anonymous transport=17", SENT_AWAY},
    {"8656 7.2: the load", ALT "over=1", ALLOCATED "client 2 ; nonce ; allocate transport=17",
     SENT_AWAY " software mi"},
    {"8656 7.2: the load", ALT "over=2", ALLOCATED "client 2 ; allocate anonymous transport=17",
     "error 401 realm=firezone nonce"},
    {"8656 7.2: the load", ALT "over=1",
     ALLOCATED "refresh lifetime=0 ; client 2 ; allocate anonymous transport=17",
     "error 401 realm=firezone nonce"},
    {"8656 7.2: no room", ALT "ports=1", ALLOCATED "client 2 ; nonce ; allocate transport=17",
     SENT_AWAY " software mi"},
    {"8656 7.2: the user's own limit", ALT "users=1", ALLOCATED "client 2 ; nonce ; allocate transport=17",
     "error 486 software mi"},
    {"8656 7.2: errors are limited", ALT "rate=1", "draining ; times 4 allocate anonymous transport=17",
     "drop rate_limited"},
    {"8656 7.2: errors are limited", ALT "errors=1", "nonce ; draining ; times 11 allocate transport=17",
     "drop rate_limited"},
};

START_TEST(test_row)
{
  ck_assert_msg(fzt_row_passes(&rows[_i]), "row %d", _i);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("conformance-allocations");
  TCase *tc = tcase_create("table");
  tcase_add_loop_test(tc, test_row, 0, (int)(sizeof rows / sizeof *rows));
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
