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
#define PAIR         "nonce ; allocate transport=17 even ; "
#define OK_PAIR      "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 token software mi"
#define OK_SECOND    "success relayed=203.0.113.1:P mapped=198.51.100.2:40002 lifetime=600 software mi"
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
    {"8489 10: after authentication, by the newer HMAC alone", "static " ALT,
     "user alice wonderland ; nonce ; draining ; allocate sha256 transport=17", SENT_AWAY " software mi256"},
    {"8489 10: after authentication, by the newer HMAC alone", "static " ALT,
     "user alice wonderland ; nonce ; draining ; allocate sha256 bad-mi256 transport=17",
     "error 401 realm=firezone nonce-pu algorithms software"},
    {"8489 10: the stamp scheme has no newer HMAC", ALT, "nonce ; draining ; allocate sha256 transport=17",
     SENT_AWAY " software"},
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
    {"8656 7.2: its allocation has lapsed", ALT,
     ALLOCATED "wait 605 ; draining ; allocate anonymous transport=17", SENT_AWAY},
    {"8656 7.2: its allocation has lapsed", ALT, ALLOCATED "wait 605 ; draining ; allocate transport=17",
     SENT_AWAY " software mi"},
    {"8656 7.2: its allocation has lapsed", ALT,
     ALLOCATED "wait 605 ; draining ; allocate transport=17 ; refresh ; expect-allocations 1",
     "success lifetime=600 software mi"},
    {"8656 7.2: its allocation has lapsed", ALT,
     ALLOCATED "wait 605 ; draining ; allocate transport=17 same-tid", OK_V4},
    {"8656 7.2: its allocation has lapsed", ALT "over=1", ALLOCATED "wait 605 ; allocate transport=17",
     SENT_AWAY " software mi"},
    {"8656 7.2: its allocation has lapsed", "dual", ALLOCATED "wait 605 ; draining ; allocate transport=17",
     "error 508 software mi"},
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

    /* ---- EVEN-PORT ---- */
    {"8656 7.2: EVEN-PORT", "dual", "nonce ; allocate transport=17 even-only ; expect-even", OK_V4},
    {"8656 7.2: EVEN-PORT", "ports=2", "nonce ; allocate transport=17 even-only ; expect-even", OK_V4},
    {"8656 7.2: EVEN-PORT", "ports=2",
     "nonce ; allocate transport=17 even-only ; client 2 ; nonce ; allocate transport=17 even-only",
     "error 508 software mi"},
    {"8656 7.2: EVEN-PORT", "ports=2",
     "nonce ; allocate transport=17 even-only ; client 2 ; nonce ; allocate transport=17 ; expect-next",
     "success relayed=203.0.113.1:P mapped=198.51.100.2:40002 lifetime=600 software mi"},
    {"8656 7.2: EVEN-PORT, two families", "dual",
     "nonce ; allocate transport=17 even-only add=2 ; expect-even",
     "success relayed=203.0.113.1:P relayed=[2001:db8:ffff::1]:P mapped=198.51.100.1:40001 lifetime=600 "
     "software mi"},
    {"8656 7.2: EVEN-PORT, IPv6", "dual", "nonce ; allocate transport=17 even-only req=2 ; expect-even",
     "success relayed=[2001:db8:ffff::1]:P mapped=198.51.100.1:40001 lifetime=600 software mi"},
    {"8656 7.2: EVEN-PORT, a port is held", "dual",
     "nonce ; " HELD HELD HELD "allocate transport=17 even-only ; expect-even", OK_V4},
    {"8656 7.2: EVEN-PORT, all are held", "ports=2",
     "nonce ; " HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD HELD
     "allocate transport=17 even-only",
     "error 508 software mi"},
    {"8656 18.7: a word of it", "dual", "nonce ; allocate transport=17 attr=0x0018:80000000 ; expect-even",
     OK_PAIR},
    {"8656 18.7", "dual", "nonce ; allocate transport=17 attr=0x0018:7f ; expect-even", OK_V4},
    {"8656 18.7", "dual", "nonce ; allocate transport=17 attr=0x0018", "error 400 software mi"},
    {"8656 18.7", "dual", "nonce ; allocate transport=17 attr=0x0018:8000000000", "error 400 software mi"},
    {"8656 7.2: EVEN-PORT before credentials", "dual", "allocate anonymous transport=17 even",
     "error 401 realm=firezone nonce"},

    /* ---- with the R bit, and RESERVATION-TOKEN ---- */
    {"8656 7.2: R", "dual", "nonce ; allocate transport=17 even ; expect-even", OK_PAIR},
    {"8656 7.2: R", "ports=1", "nonce ; allocate transport=17 even", "error 508 software mi"},
    {"8656 7.2: R", "ports=2", "nonce ; allocate transport=17 even", OK_PAIR},
    {"8656 7.2: R", "ports=3",
     ALLOCATED "client 2 ; nonce ; allocate transport=17 even ; client 3 ; nonce ; "
               "allocate transport=17 even",
     "error 508 software mi"},
    {"8656 7.2: R, nobody else gets it", "ports=2", PAIR "client 2 ; nonce ; allocate transport=17",
     "error 508 software mi"},
    {"8656 7.2: R, its answer was lost", "dual", PAIR "allocate transport=17 even same-tid",
     "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 same-token software mi"},
    {"8656 7.2: R, a port is held", "ports=6",
     "nonce ; " HELD HELD "allocate transport=17 even ; expect-even", OK_PAIR},
    {"8656 7.2: R, a port is held", "ports=6",
     "nonce ; " HELD HELD "allocate transport=17 even ; client 2 ; nonce ; allocate transport=17 token ; "
     "expect-next",
     OK_SECOND},
    {"8656 7.2: R, two families", "dual", "nonce ; allocate transport=17 even add=2",
     "error 400 software mi"},
    {"8656 7.2: R, IPv6", "dual", "nonce ; allocate transport=17 even req=2 ; expect-even",
     "success relayed=[2001:db8:ffff::1]:P mapped=198.51.100.1:40001 lifetime=600 token software mi"},
    {"8656 7.2: token", "ports=2", PAIR "client 2 ; nonce ; allocate transport=17 token ; expect-next",
     OK_SECOND},
    {"8656 7.2: token, IPv6", "dual",
     "nonce ; allocate transport=17 even req=2 ; client 2 ; nonce ; allocate transport=17 token ; "
     "expect-next",
     "success relayed=[2001:db8:ffff::1]:P mapped=198.51.100.2:40002 lifetime=600 software mi"},
    {"8656 7.2: token, its answer was lost", "dual",
     PAIR
     "client 2 ; nonce ; allocate transport=17 token ; allocate transport=17 token same-tid ; expect-next",
     OK_SECOND},
    {"8656 7.2: token, once", "dual",
     PAIR "client 2 ; nonce ; allocate transport=17 token ; client 3 ; nonce ; allocate transport=17 token",
     "error 508 software mi"},
    {"8656 7.2: token, once", "dual",
     PAIR "client 2 ; nonce ; allocate transport=17 token ; refresh lifetime=0 ; allocate transport=17 token",
     "error 508 software mi"},
    {"8656 7.2: token, forged", "dual", PAIR "client 2 ; nonce ; allocate transport=17 forged-token",
     "error 508 software mi"},
    {"8656 7.2: token, forged, and then the right one", "dual",
     PAIR "client 2 ; nonce ; allocate transport=17 forged-token ; allocate transport=17 token ; expect-next",
     OK_SECOND},
    {"8656 7.2: token, of nobody", "dual", "nonce ; allocate transport=17 attr=0x0022:0000000000000000",
     "error 508 software mi"},
    {"8656 7.2: token, of nobody", "dual", "nonce ; allocate transport=17 attr=0x0022:ffffffffffffffff",
     "error 508 software mi"},
    {"8656 7.2: token, of nobody", "dual", "nonce ; allocate transport=17 attr=0x0022:800000000000c350",
     "error 508 software mi"},
    {"8656 18.10", "dual", "nonce ; allocate transport=17 attr=0x0022:00000000000000",
     "error 400 software mi"},
    {"8656 18.10", "dual", "nonce ; allocate transport=17 attr=0x0022", "error 400 software mi"},
    {"8656 7.2: token and EVEN-PORT", "dual", PAIR "client 2 ; nonce ; allocate transport=17 token even-only",
     "error 400 software mi"},
    {"8656 7.2: token and EVEN-PORT", "dual", PAIR "client 2 ; nonce ; allocate transport=17 token even",
     "error 400 software mi"},
    {"8656 7.2: token and a family", "dual", PAIR "client 2 ; nonce ; allocate transport=17 token req=1",
     "error 400 software mi"},
    {"8656 7.2: token and two families", "dual", PAIR "client 2 ; nonce ; allocate transport=17 token add=2",
     "error 400 software mi"},
    {"8656 7.2: it is good after a 400", "dual",
     PAIR "client 2 ; nonce ; allocate transport=17 token req=1 ; allocate transport=17 token ; expect-next",
     OK_SECOND},
    {"8656 7.2: it is good after 486", "users=1",
     PAIR
     "client 2 ; nonce ; allocate transport=17 token ; stamp 1892160000 b ; allocate transport=17 token ; "
     "expect-next",
     OK_SECOND},
    {"8656 7.2: token without a transport", "dual", PAIR "client 2 ; nonce ; allocate token",
     "error 400 software mi"},
    {"8656 7.2: 30 seconds", "ports=2", PAIR "client 2 ; nonce ; wait 29.9 ; allocate transport=17 token",
     OK_SECOND},
    {"8656 7.2: 30 seconds", "ports=2", PAIR "client 2 ; nonce ; wait 31 ; allocate transport=17 token",
     "error 508 software mi"},
    {"8656 7.2: after 30 seconds", "ports=2",
     PAIR "client 2 ; nonce ; wait 31 ; allocate transport=17 ; expect-next", OK_SECOND},
    {"8656 7.2: it lives on when it was claimed", "ports=2",
     PAIR
     "client 2 ; nonce ; allocate transport=17 token ; wait 31 ; client 3 ; nonce ; allocate transport=17",
     "error 508 software mi"},
    {"policy: it ends with the first one", "ports=2",
     PAIR "refresh lifetime=0 ; client 2 ; nonce ; allocate transport=17 token", "error 508 software mi"},
    {"policy: it ends with the first one", "ports=2",
     PAIR "refresh lifetime=0 ; client 2 ; nonce ; allocate transport=17 even ; expect-even",
     "success relayed=203.0.113.1:P mapped=198.51.100.2:40002 lifetime=600 token software mi"},
    {"policy: but not when it was claimed", "ports=2",
     PAIR
     "client 2 ; nonce ; allocate transport=17 token ; client 1 ; refresh lifetime=0 ; client 2 ; refresh",
     "success lifetime=600 software mi"},
    {"8656 7.2: its port is held", "ports=2",
     PAIR "client 2 ; nonce ; " HELD "allocate transport=17 token ; expect-allocations 1",
     "error 508 software mi"},
    {"8656 7.2: draining", "dual", PAIR "client 2 ; nonce ; draining ; allocate transport=17 token",
     "error 508 software mi"},
    {"8656 7.2: data", "dual",
     PAIR "client 2 ; nonce ; allocate transport=17 token ; bind chan=0x4000 peer=203.0.113.9:5000 ; peer "
          "203.0.113.9:5000 7",
     "deliver 0x4000 7"},
    {"8016 3.1.2: a pair, and a ticket", "mobility",
     "nonce ; allocate transport=17 even mobile ; expect-even",
     "success relayed=203.0.113.1:P mapped=198.51.100.1:40001 lifetime=600 ticket token software mi"},
    {"8016 3.2.2: what is reserved goes along", "mobility ports=2",
     "nonce ; allocate transport=17 even mobile ; " FLIP
     "nonce ; refresh ticket ; client 2 ; nonce ; allocate "
     "transport=17 token ; expect-next",
     OK_SECOND},

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
    {"8016 3.2.2", "mobility", MOBILE FLIP "nonce ; refresh ticket", OK_MOVED},
    {"policy: no ticket stands in for a nonce", "mobility", MOBILE FLIP "refresh ticket",
     "error 438 realm=firezone nonce software mi"},
    {"policy: no ticket stands in for a nonce", "mobility",
     MOBILE_BOUND FLIP "refresh ticket lifetime=3600 ; " BACK "channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.2: its lifetime", "mobility", MOBILE FLIP "nonce ; refresh ticket lifetime=900",
     "success lifetime=900 ticket software mi"},
    {"8016 3.2.2: of two families", "mobility",
     "nonce ; allocate transport=17 add=2 mobile ; bind chan=0x4000 peer=203.0.113.9:5000 ; bind chan=0x4001 "
     "peer=[2600::9]:7 ; " FLIP "nonce ; refresh ticket ; peer [2600::9]:7 9",
     "deliver 0x4001 9"},
    {"8016 3.2.2: to another family", "mobility",
     MOBILE_BOUND
     "source [2001:db8::7]:9 ; local [2001:db8::1]:3478 ; nonce ; refresh ticket ; channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.2: to another address of the relay", "mobility",
     MOBILE_BOUND "local 192.0.2.9:3478 ; refresh ticket ; peer 203.0.113.9:5000 7", "deliver 0x4000 7"},
    {"8016 3.2.2: data", "mobility", MOBILE_BOUND FLIP "nonce ; refresh ticket ; channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.2: data", "mobility", MOBILE_BOUND FLIP "nonce ; refresh ticket ; peer 203.0.113.9:5000 7",
     "deliver 0x4000 7"},
    {"8016 3.2.2: permissions", "mobility",
     MOBILE "permission peer=203.0.113.9:5 ; " FLIP
            "nonce ; refresh ticket ; send indication peer=203.0.113.9:5 "
            "attr=0x0013:01020304",
     "forward 203.0.113.9:5 4"},
    {"policy, unlike 8016 3.2.2: the old 5-tuple is gone", "mobility",
     MOBILE_BOUND FLIP "nonce ; refresh ticket ; " BACK "channel 0x4000 7", "drop unknown_client"},
    {"policy, unlike 8016 3.2.2: the old 5-tuple is gone", "mobility",
     MOBILE_BOUND FLIP "nonce ; refresh ticket ; " BACK "nonce ; refresh", "error 437 software mi"},
    {"policy: the old 5-tuple is free", "mobility",
     MOBILE FLIP "nonce ; refresh ticket ; " BACK "nonce ; allocate transport=17", OK_V4},
    {"8016 3.2.2: before it", "mobility", MOBILE_BOUND FLIP "channel 0x4000 7", "drop unknown_client"},
    {"8016 3.2.3: the newest again", "mobility",
     MOBILE_BOUND FLIP "nonce ; refresh ticket ; " BACK "nonce ; refresh ticket", OK_MOVED},
    {"8016 3.2.3: the newest again", "mobility",
     MOBILE_BOUND FLIP "nonce ; refresh ticket ; " BACK "nonce ; refresh ticket ; channel 0x4000 7",
     "forward 203.0.113.9:5000 7"},
    {"8016 3.2.3: its answer was lost", "mobility",
     MOBILE FLIP "nonce ; refresh ticket ; refresh old-ticket same-tid",
     "success lifetime=600 same-ticket software mi"},
    {"8016 3.2.3: its answer was lost", "mobility", MOBILE FLIP "nonce ; refresh ticket ; refresh old-ticket",
     "success lifetime=600 same-ticket software mi"},
    {"policy: lost, and moved on", "mobility",
     MOBILE FLIP "nonce ; refresh ticket ; " THIRD "refresh old-ticket",
     "error 438 realm=firezone nonce software mi"},
    {"policy: lost, and moved on", "mobility",
     MOBILE FLIP "nonce ; refresh ticket ; " THIRD "nonce ; refresh old-ticket", OK_MOVED},
    {"policy: a repeat renews nothing", "mobility",
     MOBILE FLIP "nonce ; refresh ticket ; wait 590 ; refresh old-ticket ; wait 21 ; nonce ; refresh",
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
     MOBILE FLIP "nonce ; refresh ticket lifetime=0 ; expect-allocations 0 ; refresh",
     "error 437 software mi"},
    {"8016 3.2.2: then as always", "mobility", MOBILE FLIP "nonce ; refresh ticket ; refresh",
     "success lifetime=600 software mi"},
    {"8016 3.2.2: then as always", "mobility",
     MOBILE FLIP "nonce ; refresh ticket ; bind chan=0x4000 peer=203.0.113.9:5000", "success software mi"},
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
