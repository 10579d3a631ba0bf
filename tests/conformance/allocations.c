/* SPDX-License-Identifier: Apache-2.0 */
/* How allocations come to be, beside what conformance.c has of it: another server (RFC 8489 section 10). The words are explained in
 * dsl.h. */
#include "dsl.h"

#define ALLOCATED "nonce ; allocate transport=17 ; "
#define OK_V4     "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 software mi"
#define ALT       "alternate4=192.0.2.77:3478 "
#define ALT_BOTH  ALT "alternate6=[2001:db8::77]:443 "
#define SENT_AWAY "error 300 alternate=192.0.2.77:3478"

#define HELD         "open-error -402 ; "
#define OK_MOBILE    "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 ticket software mi"
#define MOBILE       "nonce ; allocate transport=17 mobile ; "
#define MOBILE_BOUND MOBILE "bind chan=0x4000 peer=203.0.113.9:5000 ; "
#define OK_MOVED     "success lifetime=600 ticket software mi"
/* Addresses of the client: two, and the first one again. */
#define FLIP  "source 198.51.100.200:7 ; "
#define THIRD "source 192.0.2.222:9 ; "
#define BACK  "source 198.51.100.1:40001 ; "

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

    /* ---- Mobility: MOBILITY-TICKET in an Allocate ---- */
    {"8016 3.1.2: forbidden", "dual", "nonce ; allocate transport=17 mobile", "error 405 software mi"},
    {"8016 3.1.2: forbidden", "dual", "nonce ; allocate transport=17 mobile ; allocate transport=17", OK_V4},
    {"8016 3.1.2", "mobility", "nonce ; allocate transport=17 mobile", OK_MOBILE},
    {"8016 3.1.2: not empty", "mobility", "nonce ; allocate transport=17 attr=0x8030:01",
     "error 400 software mi"},
    {"8016 3.1.2: not asked for", "mobility", "nonce ; allocate transport=17", OK_V4},
    {"8016 3.1.2: its answer was lost", "mobility", MOBILE "allocate transport=17 mobile same-tid",
     "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 same-ticket software mi"},
    {"8016 3.1.2: two families", "mobility", "nonce ; allocate transport=17 add=2 mobile",
     "success relayed=203.0.113.1:P relayed=[2001:db8:ffff::1]:P mapped=198.51.100.1:40001 lifetime=600 "
     "ticket "
     "software mi"},
    {"8016 3.1.2: credentials first", "mobility", "allocate anonymous transport=17 mobile",
     "error 401 realm=firezone nonce"},
    {"8016 3.1.2: another port was held", "mobility", "nonce ; " HELD HELD "allocate transport=17 mobile",
     OK_MOBILE},

    /* ---- in a Refresh ---- */
    {"8016 3.2.2: forbidden", "dual", ALLOCATED "refresh attr=0x8030:0102", "error 405 software mi"},
    {"8016 3.2.2: forbidden", "dual", "nonce ; refresh attr=0x8030:0102", "error 405 software mi"},
    {"8016 3.2.2", "mobility", MOBILE FLIP "refresh ticket", OK_MOVED},
    {"8016 3.2.2: its lifetime", "mobility", MOBILE FLIP "refresh ticket lifetime=900",
     "success lifetime=900 ticket software mi"},
    {"8016 3.2.2: of two families", "mobility",
     "nonce ; allocate transport=17 add=2 mobile ; bind chan=0x4000 peer=203.0.113.9:5000 ; bind chan=0x4001 "
     "peer=[2600::9]:7 ; " FLIP "refresh ticket ; peer [2600::9]:7 9",
     "deliver 0x4001 9"},
    {"8016 3.2.2: to another family", "mobility",
     MOBILE_BOUND "source [2001:db8::7]:9 ; local [2001:db8::1]:3478 ; refresh ticket ; channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.2: to another address of the relay", "mobility",
     MOBILE_BOUND "local 192.0.2.9:3478 ; refresh ticket ; peer 203.0.113.9:5000 7", "deliver 0x4000 7"},
    {"8016 3.2.2: data", "mobility", MOBILE_BOUND FLIP "refresh ticket ; channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.2: data", "mobility", MOBILE_BOUND FLIP "refresh ticket ; peer 203.0.113.9:5000 7",
     "deliver 0x4000 7"},
    {"8016 3.2.2: permissions", "mobility",
     MOBILE "permission peer=203.0.113.9:5 ; " FLIP "refresh ticket ; send indication peer=203.0.113.9:5 "
            "attr=0x0013:01020304",
     "forward 203.0.113.9:5 4"},
    {"policy: the old 5-tuple is gone", "mobility",
     MOBILE_BOUND FLIP "refresh ticket ; " BACK "channel 0x4000 7", "drop unknown_client"},
    {"policy: the old 5-tuple is gone", "mobility", MOBILE_BOUND FLIP "refresh ticket ; " BACK "refresh",
     "error 437 software mi"},
    {"policy: the old 5-tuple is free", "mobility",
     MOBILE FLIP "refresh ticket ; " BACK "allocate transport=17", OK_V4},
    {"8016 3.2.2: before it", "mobility", MOBILE_BOUND FLIP "channel 0x4000 7", "drop unknown_client"},
    {"8016 3.2.3: the newest again", "mobility", MOBILE_BOUND FLIP "refresh ticket ; " BACK "refresh ticket",
     OK_MOVED},
    {"8016 3.2.3: the newest again", "mobility",
     MOBILE_BOUND FLIP "refresh ticket ; " BACK "refresh ticket ; channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.3: its answer was lost", "mobility",
     MOBILE FLIP "refresh ticket ; refresh old-ticket same-tid",
     "success lifetime=600 same-ticket software mi"},
    {"8016 3.2.3: its answer was lost", "mobility", MOBILE FLIP "refresh ticket ; refresh old-ticket",
     "success lifetime=600 same-ticket software mi"},
    {"policy: lost, and moved on", "mobility", MOBILE FLIP "refresh ticket ; " THIRD "refresh old-ticket",
     "error 438 realm=firezone nonce software mi"},
    {"policy: lost, and moved on", "mobility",
     MOBILE FLIP "refresh ticket ; " THIRD "nonce ; refresh old-ticket", OK_MOVED},
    {"policy: a repeat renews nothing", "mobility",
     MOBILE FLIP "refresh ticket ; wait 590 ; refresh old-ticket ; wait 21 ; nonce ; refresh",
     "error 437 software mi"},
    {"8016 3.2.2: not moved", "mobility", MOBILE "refresh ticket", "error 400 software mi"},
    {"8016 3.2.2: not moved", "mobility", MOBILE "refresh", "success lifetime=600 software mi"},
    {"8016 3.2.2: empty", "mobility", MOBILE "refresh mobile", "error 400 software mi"},
    {"8016 3.2.2: empty", "mobility", MOBILE FLIP "nonce ; refresh mobile", "error 400 software mi"},
    {"8016 3.2.2: forged", "mobility", MOBILE FLIP "nonce ; refresh forged-ticket", "error 400 software mi"},
    {"8016 3.2.2: forged, and no nonce for this address", "mobility", MOBILE FLIP "refresh forged-ticket",
     "error 438 realm=firezone nonce software mi"},
    {"8016 3.2.2: another user", "mobility",
     MOBILE "client 2 ; stamp 1892160000 other ; refresh ticket no-nonce",
     "error 401 realm=firezone nonce mi"},
    {"8016 3.2.2: another user", "mobility",
     MOBILE "client 2 ; stamp 1892160000 other ; nonce ; refresh ticket", "error 441 software mi"},
    {"8016 3.2.2: another user", "static mobility",
     "user alice wonderland ; nonce ; allocate transport=17 mobile ; client 2 ; user bob builder ; nonce ; "
     "refresh ticket",
     "error 441 software mi"},
    {"8016 3.2.2: a wrong password", "mobility", MOBILE FLIP "refresh ticket bad-mi",
     "error 438 realm=firezone nonce software"},
    {"8016 3.2.2: no credentials", "mobility", MOBILE FLIP "refresh ticket anonymous",
     "error 401 realm=firezone nonce"},
    {"8016 3.2.2: the 5-tuple has one", "mobility",
     MOBILE "client 2 ; nonce ; allocate transport=17 ; refresh ticket", "error 437 software mi"},
    {"8016 3.2.2: it is over", "mobility", MOBILE "refresh lifetime=0 ; " FLIP "nonce ; refresh ticket",
     "error 437 software mi"},
    {"8016 3.2.2: it is over", "mobility", MOBILE "skip 611 ; " FLIP "nonce ; refresh ticket",
     "error 437 software mi"},
    {"8016 3.2.2: of one before", "mobility ports=1",
     MOBILE "refresh lifetime=0 ; allocate transport=17 ; " FLIP "nonce ; refresh ticket",
     "error 437 software mi"},
    {"8016 3.2.2: to end it", "mobility",
     MOBILE FLIP "refresh ticket lifetime=0 ; expect-allocations 0 ; refresh",
     "error 438 realm=firezone nonce mi"},
    {"8016 3.2.2: then as always", "mobility", MOBILE FLIP "refresh ticket ; nonce ; refresh",
     "success lifetime=600 software mi"},
    {"8016 3.2.2: then as always", "mobility",
     MOBILE FLIP "refresh ticket ; nonce ; bind chan=0x4000 peer=203.0.113.9:5000", "success software mi"},
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
