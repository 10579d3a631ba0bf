/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a turnserver.conf, line by line; and of each key that coturn has. */
#include "testing.h"

#include "coturn/keys.h"
#include "import_coturn.h"

#include <stdio.h>

static char *result;
static size_t result_len;
static char error[OPTIONS_ERROR_MAX];

static size_t (*refused)(const char *text, FILE *out) = import_coturn_refused;

static size_t looks_of(const char *text)
{
  size_t n = 0;
  for (const char *p = text; (p = strstr(p, "\n# LOOK: ")) != NULL; p++)
    n++;
  return n;
}

/* Translates |text|; with |address| as --public-ip4-addr, unless that is NULL. */
static enum coturn_result translate(const char *text, const char *address)
{
  coturn_options o = {.name = "turnserver.conf", .expected = import_coturn_expected, .refused = refused};
  char *copy = strdup(text);
  ck_assert_ptr_nonnull(copy);
  if (address)
    o.public_ip4 = fzt_addr(address);
  free(result);
  FILE *out = open_memstream(&result, &result_len);
  ck_assert_ptr_nonnull(out);
  const enum coturn_result got = coturn_translate(copy, strlen(text), &o, out, error, sizeof error);
  fclose(out);
  free(copy);
  /* The head tells as many as there are. */
  const char *said = strstr(result, " became options. ");
  if (got != COTURN_BAD) {
    ck_assert_ptr_nonnull(said);
    ck_assert_msg(strtoul(said + strlen(" became options. "), NULL, 10) == looks_of(result), "%s", result);
    ck_assert_int_eq(got == COTURN_LOOK, looks_of(result) > 0);
  }
  return got;
}

/* Whether the result has |line|, whole. */
static bool has(const char *line)
{
  const size_t len = strlen(line);
  for (const char *p = result; (p = strstr(p, line)) != NULL; p++)
    if ((p == result || p[-1] == '\n') && p[len] == '\n')
      return true;
  return false;
}

static bool begins_a_line(const char *text)
{
  const char *p = result;
  for (; (p = strstr(p, text)) != NULL; p++)
    if (p == result || p[-1] == '\n')
      return true;
  return false;
}

#define HAS(line)       ck_assert_msg(has(line), "%s is not in\n%s", line, result)
#define LACKS(text)     ck_assert_msg(!strstr(result, text), "%s is in\n%s", text, result)
#define NO_LINE(begins) ck_assert_msg(!begins_a_line(begins), "%s begins a line of\n%s", begins, result)
#define SAYS(text)      ck_assert_msg(strstr(result, text) != NULL, "%s is not in\n%s", text, result)

#define BASE "external-ip=203.0.113.7\nuse-auth-secret\nstatic-auth-secret=s\nno-tcp\n"

START_TEST(test_the_least)
{
  ck_assert_int_eq(translate(BASE, NULL), COTURN_ALIKE);
  HAS("public-ip4-addr = 203.0.113.7");
  HAS("auth = rest");
  HAS("auth-secret = s");
  HAS("max-allocations-per-user = 0");
  HAS("# line 4, no-tcp: there is no tcp-listen-port");
  LACKS("LOOK: line");
  NO_LINE("tcp-listen-port =");
}
END_TEST

START_TEST(test_addresses)
{
  static const struct {
    const char *text, *address;
    enum coturn_result expected;
    const char *has[3];
  } cases[] = {
      {"external-ip=203.0.113.7/10.0.0.5", NULL, COTURN_ALIKE, {"public-ip4-addr = 203.0.113.7"}},
      {"external-ip=203.0.113.7\nexternal-ip=2001:db8::7",
       NULL,
       COTURN_ALIKE,
       {"public-ip4-addr = 203.0.113.7", "public-ip6-addr = 2001:db8::7"}},
      {"external-ip=203.0.113.7", "203.0.113.9", COTURN_ALIKE, {"public-ip4-addr = 203.0.113.9"}},
      {"external-ip=relay.example.org", "203.0.113.9", COTURN_LOOK, {"public-ip4-addr = 203.0.113.9"}},
      {"external-ip=203.0.113.7\nexternal-ip=203.0.113.8",
       NULL,
       COTURN_LOOK,
       {"public-ip4-addr = 203.0.113.7"}},
      {"listening-ip=203.0.113.7",
       NULL,
       COTURN_ALIKE,
       {"public-ip4-addr = 203.0.113.7", "bind-ip4-addr = 203.0.113.7"}},
      {"relay-ip=203.0.113.7",
       NULL,
       COTURN_ALIKE,
       {"public-ip4-addr = 203.0.113.7", "bind-ip4-addr = 203.0.113.7"}},
      {"listening-ip=0.0.0.0\nexternal-ip=203.0.113.7",
       NULL,
       COTURN_ALIKE,
       {"public-ip4-addr = 203.0.113.7"}},
      {"listening-ip=10.0.0.5\nrelay-ip=10.0.0.5\nexternal-ip=203.0.113.7/10.0.0.5",
       NULL,
       COTURN_ALIKE,
       {"bind-ip4-addr = 10.0.0.5"}},
      {"listening-ip=10.0.0.5\nrelay-ip=10.0.0.6\nexternal-ip=203.0.113.7",
       NULL,
       COTURN_LOOK,
       {"bind-ip4-addr = 10.0.0.5"}},
      {"listening-ip=10.0.0.5\nlistening-ip=10.0.0.6\nexternal-ip=203.0.113.7", NULL, COTURN_LOOK, {NULL}},
      {"listening-ip=eth0\nexternal-ip=203.0.113.7", NULL, COTURN_LOOK, {NULL}},
      {"fingerprint", NULL, COTURN_LOOK, {"# public-ip4-addr = 203.0.113.7"}},
  };
  char text[256];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snprintf(text, sizeof text, "use-auth-secret\nstatic-auth-secret=s\n%s\n", cases[i].text);
    ck_assert_msg(translate(text, cases[i].address) == cases[i].expected, "%s\n%s", cases[i].text, result);
    for (size_t k = 0; k < 3 && cases[i].has[k]; k++)
      HAS(cases[i].has[k]);
    if (!cases[i].has[0])
      NO_LINE("bind-ip4-addr =");
  }
}
END_TEST

/* What is missing is named once, though the relay would not start for it either. */
START_TEST(test_what_is_missing)
{
  ck_assert_int_eq(translate("lt-cred-mech\nrealm=r", NULL), COTURN_LOOK);
  HAS("# users-file = /etc/firezone-relay.users");
  ck_assert_uint_eq(looks_of(result), 2);
  ck_assert_int_eq(translate("use-auth-secret", NULL), COTURN_LOOK);
  HAS("# public-ip4-addr = 203.0.113.7");
  HAS("# auth-secret = ...");
  ck_assert_uint_eq(looks_of(result), 2);
  LACKS("would not start");
}
END_TEST

/* Puts the number of the line that has max-port's option. */
static size_t refuse(const char *text, FILE *out)
{
  unsigned line = 1;
  for (const char *p = text; p < strstr(text, "highest-port = "); p++)
    line += *p == '\n';
  ck_assert_ptr_nonnull(strstr(text, "\npublic-ip4-addr = 203.0.113.7\n"));
  fprintf(out, "# LOOK: of line %u\n", line);
  return 1;
}

/* What the relay would not start with counts, and is told of by the lines of the result. */
START_TEST(test_what_is_refused)
{
  refused = refuse;
  ck_assert_int_eq(translate("use-auth-secret\nstatic-auth-secret=s\nmax-port=50000", NULL), COTURN_LOOK);
  refused = import_coturn_refused;
  unsigned line = 1;
  const char *option = strstr(result, "\nhighest-port = ");
  char text[64];
  ck_assert_ptr_nonnull(option);
  for (const char *p = result; p <= option; p++)
    line += *p == '\n';
  snprintf(text, sizeof text, "# LOOK: of line %u", line);
  HAS(text);
  ck_assert_uint_eq(looks_of(result), 2);
}
END_TEST

/* The relay itself refuses what is no configuration of it. */
START_TEST(test_refusals)
{
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  ck_assert_ptr_nonnull(out);
  ck_assert_uint_eq(import_coturn_refused("auth = rest\npublic-ip4-addr = 203.0.113.7\nworkers = x\n", out),
                    2);
  fclose(out);
  ck_assert_msg(strstr(text, "the result:3: workers") && strstr(text, "--auth-secret-file"), "%s", text);
  free(text);
}
END_TEST

START_TEST(test_ports)
{
  ck_assert_int_eq(translate(BASE "listening-port=3479\nmin-port=40000\nmax-port=50000", NULL), COTURN_ALIKE);
  HAS("listen-port = 3479");
  HAS("lowest-port = 40000");
  HAS("highest-port = 50000");
  ck_assert_int_eq(translate(BASE "min-port=1024", NULL), COTURN_LOOK); /* 3478 is within */
  HAS("lowest-port = 3479");
  ck_assert_int_eq(translate(BASE "listening-port=60000\nmax-port=61000", NULL), COTURN_LOOK);
  HAS("highest-port = 59999");
  ck_assert_int_eq(translate(BASE "min-port=50000\nmax-port=49999", NULL), COTURN_LOOK);
  NO_LINE("lowest-port =");
  ck_assert_int_eq(translate(BASE "listening-port=70000", NULL), COTURN_LOOK);
  SAYS("# LOOK: line 5, listening-port: '70000' is no number from 1 to 65535: listen-port is left at 3478");
}
END_TEST

/* What coturn takes of a value, its first digits, is taken; and where there is nothing to take, nothing is silent. */
START_TEST(test_numbers)
{
  static const struct {
    const char *key, *option, *base;
    unsigned number, expected;
  } keys[] = {
      {"listening-port", "listen-port", "", 3490, 3490},
      {"min-port", "lowest-port", "", 10000, 10000},
      {"max-port", "highest-port", "", 60000, 60000},
      {"tls-listening-port", "tls-listen-port", "cert=/c\npkey=/k\n", 5350, 5350},
      {"user-quota", "max-allocations-per-user", "", 12, 12},
      {"relay-threads", "workers", "", 2, 2},
      {"max-bps", "max-bandwidth-per-allocation", "", 64000, 128000},
      {"prometheus-port", "health-check-addr", "prometheus\n", 9999, 9999},
  };
  static const char *const behind[] = {"", " ", "\t", " # comment", "#x", "  ## 7"};
  static const char *const bad[] = {
      "# 1", "x", "-1", "+1", "99999999999999999999999", "18446744073709551617 # x"};
  char text[256], line[128];
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const bool is_metrics = strcmp(keys[i].option, "health-check-addr") == 0;
    for (size_t k = 0; k < sizeof behind / sizeof *behind; k++) {
      snprintf(text, sizeof text, BASE "%s%s=%u%s", keys[i].base, keys[i].key, keys[i].number, behind[k]);
      ck_assert_msg(translate(text, NULL) == (is_metrics ? COTURN_LOOK : COTURN_ALIKE), "%s\n%s", text,
                    result);
      snprintf(line, sizeof line, "%s = %s%u", keys[i].option, is_metrics ? "0.0.0.0:" : "",
               keys[i].expected);
      HAS(line);
    }
    snprintf(text, sizeof text, BASE "%s%s=%u,5x", keys[i].base, keys[i].key, keys[i].number);
    ck_assert_int_eq(translate(text, NULL), COTURN_LOOK);
    HAS(line);
    snprintf(line, sizeof line, "%s: coturn takes '%u,5x' as %u", keys[i].key, keys[i].number,
             keys[i].number);
    SAYS(line);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
      snprintf(text, sizeof text, BASE "%s%s=%s", keys[i].base, keys[i].key, bad[k]);
      ck_assert_int_eq(translate(text, NULL), COTURN_LOOK);
      snprintf(line, sizeof line, "%s: '%s' is no number from ", keys[i].key, bad[k]);
      SAYS(line);
      snprintf(line, sizeof line, "\n%s = ", keys[i].option);
      if (!*keys[i].base) /* the others have a port anyway */
        LACKS(line);
    }
  }
}
END_TEST

/* The range is never wider than what was to be, without a word. */
START_TEST(test_ranges_with_more_behind_them)
{
  ck_assert_int_eq(translate(BASE "min-port=10000 # x\nmax-port=60000 ", NULL), COTURN_ALIKE);
  HAS("lowest-port = 10000");
  HAS("highest-port = 60000");
  ck_assert_int_eq(translate(BASE "max-port=99999 # x", NULL), COTURN_LOOK);
  SAYS("# LOOK: line 5, max-port: '99999 # x' is no number from 1 to 65535: highest-port is left at 65535");
  ck_assert_int_eq(translate(BASE "min-port=0", NULL), COTURN_LOOK);
  SAYS("# LOOK: line 5, min-port: '0' is no number from 1 to 65535: lowest-port is left at 49152");
  ck_assert_int_eq(translate(BASE "cert=/c\npkey=/k\ntls-listening-port=70000", NULL), COTURN_LOOK);
  HAS("tls-listen-port = 5349");
  SAYS("# LOOK: line 7, tls-listening-port: '70000' is no number from 1 to 65535: tls-listen-port is 5349");
  /* The address of TLS may be that of TCP with a comment, too. */
  ck_assert_int_eq(
      translate("external-ip=203.0.113.7\nuse-auth-secret\nstatic-auth-secret=s\ncert=/c\npkey=/k\n"
                "listening-port=443 # a\ntls-listening-port=443 # b",
                NULL),
      COTURN_LOOK);
  HAS("tls-listen-port = 443");
  NO_LINE("tcp-listen-port =");
  ck_assert_int_eq(translate(BASE "relay-threads=5000", NULL), COTURN_LOOK);
  SAYS("# LOOK: line 5, relay-threads: workers can't be 5000: expected ");
  ck_assert_int_eq(translate(BASE "total-quota=0 # none\nbps-capacity=0 # x\nchannel-lifetime=600#x", NULL),
                   COTURN_ALIKE);
  ck_assert_int_eq(translate(BASE "total-quota=many", NULL), COTURN_LOOK);
  SAYS("# LOOK: line 5, total-quota: 'many' is no number");
  ck_assert_int_eq(translate(BASE "channel-lifetime=6000 # x", NULL), COTURN_LOOK);
  ck_assert_int_eq(translate(BASE "channel-lifetime=600x", NULL), COTURN_LOOK);
}
END_TEST

START_TEST(test_streams)
{
  static const char all[] =
      "external-ip=203.0.113.7\nuse-auth-secret\nstatic-auth-secret=s\nlistening-port=3479\n%s";
  char text[256];
  snprintf(text, sizeof text, all, "cert=/c\npkey=/k\n");
  ck_assert_int_eq(translate(text, NULL), COTURN_ALIKE);
  HAS("tcp-listen-port = 3479");
  HAS("tls-listen-port = 5349");
  HAS("tls-cert = /c");
  HAS("tls-key = /k");
  snprintf(text, sizeof text, all, "cert=/c\npkey=/k\nno-tls\nno-tcp=0\npkey-pwd=x\n");
  ck_assert_int_eq(translate(text, NULL), COTURN_ALIKE);
  HAS("tcp-listen-port = 3479");
  NO_LINE("tls-");
  snprintf(text, sizeof text, all, "cert=/c\ntls-listening-port=443\n");
  ck_assert_int_eq(translate(text, NULL), COTURN_LOOK);
  NO_LINE("tls-listen-port =");
  snprintf(text, sizeof text, all, "cert=/c\npkey=/k\ntls-listening-port=3479\npkey-pwd=x");
  ck_assert_int_eq(translate(text, NULL), COTURN_LOOK);
  HAS("tls-listen-port = 3479");
  NO_LINE("tcp-listen-port =");
  SAYS("# LOOK: line 8, pkey-pwd: ");
}
END_TEST

START_TEST(test_users)
{
  ck_assert_int_eq(
      translate("external-ip=203.0.113.7\nlt-cred-mech\nrealm=r\nuser=a:b # c\nuser=x:y\nuser=x:'z", NULL),
      COTURN_LOOK);
  HAS("auth = static");
  HAS("user = \"a:b # c\"");
  HAS("user = \"x:'z\"");
  HAS("# line 5, user: that user is there again, and the last line counts");
  SAYS("# LOOK: line 4, user: the # and what follows");
  /* Users alone say it, too. */
  ck_assert_int_eq(
      translate("external-ip=203.0.113.7\nrealm=r\nuser=a:0x00112233445566778899aabbccddeeff\nuser-quota=5",
                NULL),
      COTURN_ALIKE);
  HAS("auth = static");
  HAS("user = a:0x00112233445566778899aabbccddeeff");
  HAS("max-allocations-per-user = 5");
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nuser=a:0x00112233445566778899aabbccddeeff", NULL),
                   COTURN_LOOK);
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nrealm=r\nlt-cred-mech\nuser=ab\nuserdb=/x", NULL),
                   COTURN_LOOK);
  SAYS("# LOOK: line 4, user: user can't have that value");
  SAYS("# LOOK: line 5, userdb: databases are not read");
  /* Beside a secret they do not count. */
  ck_assert_int_eq(translate(BASE "user=a:b\nlt-cred-mech\ndb=/x", NULL), COTURN_LOOK);
  NO_LINE("user = ");
  HAS("auth = rest");
  SAYS("# line 5, user: users do not count beside a secret");
  SAYS("# LOOK: 1 user is left out, ");
  ck_assert_int_eq(translate(BASE "user=a:b\nuser=c:d\nuser=a:e", NULL), COTURN_LOOK);
  SAYS("# LOOK: 2 users are left out, "); /* one look for all */
  ck_assert_uint_eq(looks_of(result), 1);
  /* A secret says that it is one. */
  ck_assert_int_eq(
      translate(
          "external-ip=203.0.113.7\nstatic-auth-secret=a\nstatic-auth-secret=\"b\"\nstatic-auth-secret=c",
          NULL),
      COTURN_LOOK);
  HAS("auth = rest");
  HAS("auth-secret = a");
  HAS("auth-second-secret = b");
  SAYS("# LOOK: line 4, static-auth-secret: there are two secrets at most");
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nuse-auth-secret\nuse-auth-secret=no", NULL),
                   COTURN_LOOK);
  NO_LINE("auth = ");
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nuse-auth-secret", NULL), COTURN_LOOK);
  HAS("auth = rest");
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nno-auth", NULL), COTURN_LOOK);
  SAYS("# LOOK: line 2, no-auth: clients always log in");
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nstun-only\nlt-cred-mech\nuser=a:b", NULL),
                   COTURN_ALIKE);
  NO_LINE("auth");
}
END_TEST

/* Wherever the lines stand, and whatever names begin like others. */
START_TEST(test_users_that_are_there_again)
{
  ck_assert_int_eq(translate("external-ip=203.0.113.7\nlt-cred-mech\nrealm=r\nuser=b:1\nuser=a:2\nuser=ab:3\n"
                             "user=a:4\nuser=c:5\nuser=b:6\nuser=a:7\n",
                             NULL),
                   COTURN_ALIKE);
  HAS("user = ab:3\nuser = c:5\nuser = b:6\nuser = a:7");
  NO_LINE("user = a:2");
  NO_LINE("user = a:4");
  NO_LINE("user = b:1");
  HAS("# line 4, user: that user is there again, and the last line counts");
  HAS("# line 5, user: that user is there again, and the last line counts");
  HAS("# line 7, user: that user is there again, and the last line counts");
}
END_TEST

START_TEST(test_peers)
{
  ck_assert_int_eq(
      translate(BASE "denied-peer-ip=10.0.0.0-10.255.255.255\nallowed-peer-ip=10.1.0.0-10.1.255.255\n"
                     "denied-peer-ip=10.1.2.3\ndenied-peer-ip=10.2.0.0/16\ndenied-peer-ip=192.168.0.0/16\n"
                     "denied-peer-ip=example.org\ndenied-peer-ip=::ffff:10.0.0.1",
                NULL),
      COTURN_LOOK);
  HAS("deny-peer = 10.0.0.0/8");
  HAS("allow-peer = 10.1.0.0/16");
  HAS("deny-peer = 192.168.0.0/16");
  LACKS("= 10.1.2.3"); /* what is allowed is, whatever is denied */
  LACKS("= 10.2.0.0/16");
  SAYS("# line 7, denied-peer-ip: other lines have all of it");
  SAYS("# Line 9, denied-peer-ip: coturn 4.6 knows no networks with a slash");
  SAYS("# LOOK: line 10, denied-peer-ip: it is neither an address");
  HAS("deny-peer = ::ffff:a00:1");
  /* Loopback is let through by a switch of its own, and denied all the same by a range. */
  ck_assert_int_eq(translate(BASE "allow-loopback-peers", NULL), COTURN_LOOK);
  HAS("allow-peer = 127.0.0.0/8");
  HAS("allow-peer = ::1");
  ck_assert_int_eq(translate(BASE "allow-loopback-peers\ndenied-peer-ip=127.0.0.1\ndenied-peer-ip=::1", NULL),
                   COTURN_LOOK);
  HAS("allow-peer = 127.0.0.0/8");
  HAS("deny-peer = 127.0.0.1");
  LACKS("allow-peer = ::1");
  /* More networks than the relay takes rules. */
  ck_assert_int_eq(translate(BASE "denied-peer-ip=::1-7fff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\n"
                                  "denied-peer-ip=8000::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
                             NULL),
                   COTURN_LOOK);
  SAYS("there are too many networks");
}
END_TEST

START_TEST(test_limits)
{
  ck_assert_int_eq(
      translate(BASE "max-bps=64000\ntotal-quota=0\nbps-capacity=0\nmobility\nrelay-threads=0\nVerbose",
                NULL),
      COTURN_ALIKE);
  HAS("max-bandwidth-per-allocation = 128000");
  HAS("mobility = yes");
  HAS("workers = 1");
  HAS("log-filter = debug");
  ck_assert_int_eq(translate(BASE "max-bps=0\nstale-nonce=0\nchannel-lifetime=600\nmobility=off", NULL),
                   COTURN_ALIKE);
  NO_LINE("max-bandwidth");
  NO_LINE("mobility =");
  static const char *const looks[] = {"total-quota=5",        "bps-capacity=9",
                                      "channel-lifetime=60",  "max-bps=fast",
                                      "rest-api-separator=.", "realm",
                                      "mobility=perhaps",     "alternate-server=203.0.113.8:3478",
                                      "alternate-server=x",   "relay-threads=5000",
                                      "frobnicate",           "prometheus-path=/m"};
  char text[256];
  for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
    snprintf(text, sizeof text, BASE "%s\n", looks[i]);
    ck_assert_msg(translate(text, NULL) == COTURN_LOOK, "%s", looks[i]);
    SAYS("# LOOK: line 5, ");
  }
  HAS("auth-secret = s");
}
END_TEST

START_TEST(test_metrics)
{
  ck_assert_int_eq(translate(BASE "prometheus\nprometheus-address=127.0.0.1\nprometheus-port=9999", NULL),
                   COTURN_LOOK);
  HAS("health-check-addr = 127.0.0.1:9999");
  ck_assert_int_eq(translate(BASE "prometheus", NULL), COTURN_LOOK);
  HAS("health-check-addr = 0.0.0.0:9641");
  ck_assert_int_eq(translate(BASE "prometheus-port=9999", NULL), COTURN_ALIKE);
  NO_LINE("health-check-addr =");
}
END_TEST

/* Whatever is in it, a value ends neither its line nor the comment that it is in. */
START_TEST(test_nothing_leaks)
{
  ck_assert_int_eq(
      translate(BASE
                "realm=a\tb\nre\x1b[2Jalm=x\ncli-password=hush\npkey-pwd=hush\nmysql-userdb=password=hush",
                NULL),
      COTURN_LOOK);
  LACKS("hush");
  LACKS("\x1b");
  NO_LINE("realm = ");
}
END_TEST

/* Each key becomes something, alone and with any value, and its text is a text. */
START_TEST(test_every_key)
{
  static const char *const values[] = {
      "", "=1", "=no", "=x", "=203.0.113.7", "=\"", "=10.0.0.0-10.0.0.9", "=65536"};
  char text[256], named[80];
  for (size_t i = 0; i < coturn_key_count; i++) {
    const coturn_key *k = &coturn_keys[i];
    ck_assert_ptr_eq(coturn_key_of(k->name), k);
    ck_assert(strchr("sm ", k->kind));
    ck_assert_msg(k->text || k->verdict == VERDICT_DONE, "%s", k->name);
    ck_assert_msg(k->verdict != VERDICT_DEFAULT || strchr(k->text, '|'), "%s", k->name);
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
      snprintf(text, sizeof text, BASE "%s%s\n", k->name, values[v]);
      ck_assert_int_ne(translate(text, NULL), COTURN_BAD);
      snprintf(named, sizeof named, "line 5, %s: ", k->name);
      SAYS(named);
      LACKS("it was not translated");
    }
  }
}
END_TEST

START_TEST(test_what_is_no_turnserver_conf)
{
  static const char *const bad[] = {"", "# x\n", "listen-port = 3478\n", "-----BEGIN CERTIFICATE-----\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ck_assert_int_eq(translate(bad[i], NULL), COTURN_BAD);
    ck_assert_uint_eq(result_len, 0);
    ck_assert(*error && !strchr(error, '\n'));
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("coturn_translate");
  TCase *tc = tcase_create("coturn_translate");
  tcase_add_test(tc, test_the_least);
  tcase_add_test(tc, test_addresses);
  tcase_add_test(tc, test_what_is_missing);
  tcase_add_test(tc, test_what_is_refused);
  tcase_add_test(tc, test_refusals);
  tcase_add_test(tc, test_ports);
  tcase_add_test(tc, test_numbers);
  tcase_add_test(tc, test_ranges_with_more_behind_them);
  tcase_add_test(tc, test_streams);
  tcase_add_test(tc, test_users);
  tcase_add_test(tc, test_users_that_are_there_again);
  tcase_add_test(tc, test_peers);
  tcase_add_test(tc, test_limits);
  tcase_add_test(tc, test_metrics);
  tcase_add_test(tc, test_nothing_leaks);
  tcase_add_test(tc, test_every_key);
  tcase_add_test(tc, test_what_is_no_turnserver_conf);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
