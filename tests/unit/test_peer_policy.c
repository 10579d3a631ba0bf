/* SPDX-License-Identifier: Apache-2.0 */
/* Where users may send: every row of the policy, for relays of each scope, and the CIDR rules. */
#include "testing.h"

#include "turn/peer_policy.h"

#include <stdio.h>

#define LOWEST  50000
#define HIGHEST 50999
#define LISTEN  3478
#define HEALTH  8080
#define CONTROL 9999

/* A policy of a relay at |public4| and |public6| (NULL: none), bound at |own| besides. */
static fzri_peer_policy make(const char *public4, const char *public6, const char *own,
                             const fzr_peer_rule *rules, size_t rule_count)
{
  static fzri_mem mem;
  static const uint16_t ports[] = {HEALTH, CONTROL};
  fzri_peer_policy policy;
  fzr_addr bound = own ? fzt_addr(own) : (fzr_addr){0};
  fzr_config config = fzr_config_init();
  if (public4)
    config.public_ip4 = fzt_addr(public4);
  if (public6)
    config.public_ip6 = fzt_addr(public6);
  config.listen_port = LISTEN;
  config.lowest_port = LOWEST;
  config.highest_port = HIGHEST;
  config.own_addrs = &bound;
  config.own_addr_count = 1;
  config.own_ports = ports;
  config.own_port_count = 2;
  config.peer_rules = rules;
  config.peer_rule_count = rule_count;
  fzri_mem_init(&mem, NULL);
  ck_assert_int_eq(fzri_peer_policy_init(&policy, &mem, &config), 0);
  return policy;
}

/* Whether |peer| may be reached by the built-in rules. */
static bool may_reach(const fzri_peer_policy *policy, const fzr_addr *peer)
{
  fzri_peer_judgement judgement;
  return fzri_peer_policy_judge(policy, peer, false, &judgement) == FZR_PEER_ALLOWED;
}

static bool allows(const fzri_peer_policy *policy, const char *peer)
{
  const fzr_addr addr = fzt_addr(peer);
  return may_reach(policy, &addr);
}

/* ---- scopes ---- */

enum { LOOPBACK, LINK_LOCAL, PRIVATE, GLOBAL, NEVER };

/* First and last of each network, and what lies beside it. */
static const struct {
  const char *peer;
  int scope;
} peers[] = {
    {"0.0.0.0:80", NEVER},
    {"0.255.255.255:80", NEVER},
    {"1.0.0.0:80", GLOBAL},
    {"9.255.255.255:80", GLOBAL},
    {"10.0.0.0:80", PRIVATE},
    {"10.255.255.255:80", PRIVATE},
    {"11.0.0.0:80", GLOBAL},
    {"100.63.255.255:80", GLOBAL},
    {"100.64.0.0:80", PRIVATE},
    {"100.127.255.255:80", PRIVATE},
    {"100.128.0.0:80", GLOBAL},
    {"126.255.255.255:80", GLOBAL},
    {"127.0.0.0:80", LOOPBACK},
    {"127.0.0.1:80", LOOPBACK},
    {"127.255.255.255:80", LOOPBACK},
    {"128.0.0.0:80", GLOBAL},
    {"169.253.255.255:80", GLOBAL},
    {"169.254.0.0:80", LINK_LOCAL},
    {"169.254.169.254:80", LINK_LOCAL},
    {"169.254.255.255:80", LINK_LOCAL},
    {"169.255.0.0:80", GLOBAL},
    {"172.15.255.255:80", GLOBAL},
    {"172.16.0.0:80", PRIVATE},
    {"172.31.255.255:80", PRIVATE},
    {"172.32.0.0:80", GLOBAL},
    {"192.167.255.255:80", GLOBAL},
    {"192.168.0.0:80", PRIVATE},
    {"192.168.255.255:80", PRIVATE},
    {"192.169.0.0:80", GLOBAL},
    {"223.255.255.255:80", GLOBAL},
    {"224.0.0.0:80", NEVER},
    {"239.255.255.255:80", NEVER},
    {"240.0.0.0:80", NEVER},
    {"255.255.255.254:80", NEVER},
    {"255.255.255.255:80", NEVER},
    {"8.8.8.8:0", NEVER},
    {"127.0.0.1:0", NEVER},
    {"[::]:80", NEVER},
    {"[::1]:80", LOOPBACK},
    {"[2600::1]:80", GLOBAL},
    {"[2600::1]:0", NEVER},
    {"[fbff:ffff::1]:80", GLOBAL},
    {"[fc00::]:80", PRIVATE},
    {"[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80", PRIVATE},
    {"[fe00::1]:80", GLOBAL},
    {"[fe80::]:80", LINK_LOCAL},
    {"[febf:ffff::1]:80", LINK_LOCAL},
    {"[fec0::1]:80", PRIVATE},
    {"[feff::1]:80", PRIVATE},
    {"[ff00::]:80", NEVER},
    {"[ff02::1]:80", NEVER},
    {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80", NEVER},
    /* What carries an IPv4 address: it counts, too. */
    {"[::ffff:8.8.8.8]:80", GLOBAL},
    {"[::ffff:10.0.0.1]:80", PRIVATE},
    {"[::ffff:169.254.169.254]:80", LINK_LOCAL},
    {"[::ffff:127.0.0.1]:80", LOOPBACK},
    {"[::ffff:0.0.0.0]:80", NEVER},
    {"[::ffff:224.0.0.1]:80", NEVER},
    {"[::ffff:255.255.255.255]:80", NEVER},
    {"[::8.8.8.8]:80", GLOBAL},
    {"[::10.0.0.1]:80", PRIVATE},
    {"[::127.0.0.1]:80", LOOPBACK},
    {"[::2]:80", NEVER}, /* carries 0.0.0.2 */
    {"[64:ff9b::8.8.8.8]:80", GLOBAL},
    {"[64:ff9b::192.168.1.1]:80", PRIVATE},
    {"[64:ff9b::169.254.169.254]:80", LINK_LOCAL},
    {"[64:ff9b::127.0.0.1]:80", LOOPBACK},
    {"[64:ff9b::240.0.0.1]:80", NEVER},
    {"[2002:808:808::1]:80", GLOBAL},
    {"[2002:a00:1::1]:80", PRIVATE},
    {"[2002:a9fe:a9fe::1]:80", LINK_LOCAL},
    {"[2002:7f00:1::1]:80", LOOPBACK},
    {"[2002:e000:1::1]:80", NEVER},
    {"[2001:a00:1::1]:80", GLOBAL},    /* only 2002:: is 6to4 */
    {"[::ffff:0:8.8.8.8]:80", GLOBAL}, /* SIIT */
    {"[::ffff:0:10.0.0.1]:80", PRIVATE},
    {"[::ffff:0:169.254.169.254]:80", LINK_LOCAL},
    {"[::ffff:0:127.0.0.1]:80", LOOPBACK},
    {"[::ffff:0:255.255.255.255]:80", NEVER},
    {"[::fffe:8.8.8.8]:80", GLOBAL}, /* none of them */
    {"[::fffe:10.0.0.1]:80", GLOBAL},
    /* Teredo: the server, 8.8.8.8 or another, and the client, of which all bits are turned. */
    {"[2001:0:808:808:0:0:f7f7:f7f7]:80", GLOBAL},
    {"[2001:0:808:808:0:0:f5ff:fffe]:80", PRIVATE},
    {"[2001:0:808:808:0:0:5601:5601]:80", LINK_LOCAL},
    {"[2001:0:808:808:0:0:80ff:fffe]:80", LOOPBACK},
    {"[2001:0:808:808:0:0:1fff:ffff]:80", NEVER},
    {"[2001:0:a00:1:0:0:f7f7:f7f7]:80", PRIVATE},
    {"[2001:0:a9fe:a9fe:0:0:f7f7:f7f7]:80", LINK_LOCAL},
    {"[2001:0:7f00:1:0:0:f7f7:f7f7]:80", LOOPBACK},
    {"[2001::1]:80", NEVER},
    /* ISATAP, behind any prefix, with or without the bit that says that the address is unique. */
    {"[2600::5efe:8.8.8.8]:80", GLOBAL},
    {"[2600::200:5efe:8.8.8.8]:80", GLOBAL},
    {"[2600::5efe:10.0.0.1]:80", PRIVATE},
    {"[2600::200:5efe:169.254.169.254]:80", LINK_LOCAL},
    {"[2600:0:0:1:0:5efe:127.0.0.1]:80", LOOPBACK},
    {"[2600::5efe:224.0.0.1]:80", NEVER},
    {"[2600::400:5efe:10.0.0.1]:80", GLOBAL}, /* none */
    {"[fd00::5efe:8.8.8.8]:80", PRIVATE},
    {"[fe80::5efe:8.8.8.8]:80", LINK_LOCAL},
    {"[2002:808:808::5efe:10.0.0.1]:80", PRIVATE}, /* in 6to4 */
    {"[2002:a00:1::5efe:8.8.8.8]:80", PRIVATE},
    /* A network's own NAT64, whatever the length of its prefix: 48, 56, 64, 96. */
    {"[64:ff9b:1:808:8:800::]:80", PRIVATE},
    {"[64:ff9b:1:a9fe:a9:fe00::]:80", LINK_LOCAL},
    {"[64:ff9b:1:7f00:0:100::]:80", LOOPBACK},
    {"[64:ff9b:1:5508:8:808::]:80", PRIVATE},
    {"[64:ff9b:1:55a9:fe:a9fe::]:80", LINK_LOCAL},
    {"[64:ff9b:1:557f:0:1::]:80", LOOPBACK},
    {"[64:ff9b:1:5555:8:808:800:0]:80", PRIVATE},
    {"[64:ff9b:1:5555:7f:0:100:0]:80", LOOPBACK},
    {"[64:ff9b:1::8.8.8.8]:80", PRIVATE},
    {"[64:ff9b:1:5555:66:7788:8.8.8.8]:80", PRIVATE},
    {"[64:ff9b:1::169.254.169.254]:80", LINK_LOCAL},
    {"[64:ff9b:1::127.0.0.1]:80", LOOPBACK},
    {"[64:ff9b:1:e000:0:100::]:80", NEVER},
    {"[64:ff9b:1::1]:80", NEVER},
    {"[64:ff9b:1::]:80", NEVER},
    {"[64:ff9b:2::10.0.0.1]:80", GLOBAL},
    /* Cloud platforms. */
    {"168.63.129.15:80", GLOBAL},
    {"168.63.129.16:80", LINK_LOCAL},
    {"168.63.129.17:80", GLOBAL},
    {"100.100.100.200:80", LINK_LOCAL},
    {"100.100.100.201:80", PRIVATE},
    {"[fd00:ec2::254]:80", LINK_LOCAL},
    {"[fd00:ec3::254]:80", PRIVATE},
    {"[fd20:ce::254]:80", LINK_LOCAL},
    {"[64:ff9b::168.63.129.16]:80", LINK_LOCAL},
    /* IANA's special-purpose registries. */
    {"191.255.255.255:80", GLOBAL},
    {"192.0.0.0:80", LINK_LOCAL},
    {"192.0.0.192:80", LINK_LOCAL},
    {"192.0.0.255:80", LINK_LOCAL},
    {"192.0.1.0:80", GLOBAL},
    {"192.31.196.1:80", GLOBAL},
    {"192.52.193.1:80", GLOBAL},
    {"192.88.98.255:80", GLOBAL},
    {"192.88.99.0:80", PRIVATE},
    {"192.88.99.2:80", PRIVATE},
    {"192.88.100.0:80", GLOBAL},
    {"192.175.48.1:80", GLOBAL},
    {"198.17.255.255:80", GLOBAL},
    {"198.18.0.0:80", PRIVATE},
    {"198.19.255.255:80", PRIVATE},
    {"198.20.0.0:80", GLOBAL},
    {"[100::]:80", NEVER},
    {"[100::ffff:ffff:ffff:ffff]:80", NEVER},
    {"[100:0:0:1::1]:80", NEVER},
    {"[100:0:0:2::1]:80", GLOBAL},
    {"[2001:1::1]:80", PRIVATE},
    {"[2001:1::3]:80", PRIVATE},
    {"[2001:2::1]:80", PRIVATE},
    {"[2001:2:1::1]:80", PRIVATE},
    {"[2001:3::1]:80", GLOBAL},
    {"[2001:4:112::1]:80", GLOBAL},
    {"[2001:4:113::1]:80", PRIVATE},
    {"[2001:10::1]:80", PRIVATE},
    {"[2001:20::1]:80", GLOBAL},
    {"[2001:3f::1]:80", GLOBAL},
    {"[2001:40::1]:80", PRIVATE},
    {"[2001:1ff:ffff::1]:80", PRIVATE},
    {"[2001:200::1]:80", GLOBAL},
    {"[2620:4f:8000::1]:80", GLOBAL},
    {"[5eff:ffff::1]:80", GLOBAL},
    {"[5f00::1]:80", PRIVATE},
    {"[5f00:ffff::1]:80", PRIVATE},
    {"[5f01::1]:80", GLOBAL},
    /* Special, and usable all the same: test networks live in documentation prefixes, and outside 2000::/3. */
    {"192.0.2.1:80", GLOBAL},
    {"198.51.100.1:80", GLOBAL},
    {"203.0.113.200:80", GLOBAL},
    {"[2001:db8::1]:80", GLOBAL},
    {"[3fff:fff::1]:80", GLOBAL},
    {"[203:0:113::100]:80", GLOBAL},
    {"[4000::1]:80", GLOBAL},
    {"[1::1]:80", GLOBAL},
};

START_TEST(test_scope_of_the_relay)
{
  static const char *const relays[][2] = {[LOOPBACK] = {"127.0.0.1", "::1"},
                                          [LINK_LOCAL] = {"169.254.1.1", "fe80::1"},
                                          [PRIVATE] = {"192.168.7.7", "fd00::7"},
                                          [GLOBAL] = {"203.0.113.1", "2001:db8:ffff::1"}};
  fzri_peer_policy policy = make(relays[_i][0], relays[_i][1], NULL, NULL, 0);
  for (size_t i = 0; i < sizeof peers / sizeof *peers; i++)
    ck_assert_msg(allows(&policy, peers[i].peer) == (peers[i].scope >= _i && peers[i].scope != NEVER),
                  "relay %s: %s", relays[_i][0], peers[i].peer);
  fzri_peer_policy_free(&policy);
}
END_TEST

/* Each family is judged by the relay's address of that family; a family it does not offer, strictly. */
START_TEST(test_families_are_apart)
{
  fzri_peer_policy policy = make("127.0.0.1", "2001:db8:ffff::1", NULL, NULL, 0);
  ck_assert(allows(&policy, "10.0.0.1:80"));
  ck_assert(!allows(&policy, "[fd00::1]:80"));
  ck_assert(allows(&policy, "[::ffff:10.0.0.1]:80"));
  fzri_peer_policy_free(&policy);
  policy = make(NULL, "::1", NULL, NULL, 0);
  ck_assert(allows(&policy, "[fd00::1]:80"));
  ck_assert(!allows(&policy, "[::ffff:10.0.0.1]:80"));
  fzri_peer_policy_free(&policy);
}
END_TEST

/* ---- the relay itself ---- */

START_TEST(test_own_addresses)
{
  static const char *const own[] = {"203.0.113.1",          "198.51.100.50",          "[2001:db8:ffff::1]",
                                    "[::ffff:203.0.113.1]", "[64:ff9b::203.0.113.1]", "[2002:cb00:7101::9]"};
  static const struct {
    unsigned port;
    bool allowed;
  } ports[] = {{1, false},       {53, false},         {LISTEN, false}, {HEALTH, false},
               {CONTROL, false}, {LOWEST - 1, false}, {LOWEST, true},  {LOWEST + 500, true},
               {HIGHEST, true},  {HIGHEST + 1, false}};
  const fzr_peer_rule everything[] = {{.net = fzt_addr("0.0.0.0"), .prefix = 0, .allow = true},
                                      {.net = fzt_addr("::"), .prefix = 0, .allow = true},
                                      {.net = fzt_addr("203.0.113.1"), .prefix = 32, .allow = true}};
  for (unsigned with_rules = 0; with_rules < 2; with_rules++) {
    fzri_peer_policy policy =
        make("203.0.113.1", "2001:db8:ffff::1", "198.51.100.50", everything, with_rules ? 3 : 0);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
      for (size_t k = 0; k < sizeof ports / sizeof *ports; k++) {
        char peer[64];
        snprintf(peer, sizeof peer, "%s:%u", own[i], ports[k].port);
        const fzr_addr addr = fzt_addr(peer);
        ck_assert_msg(may_reach(&policy, &addr) == ports[k].allowed, "%s", peer);
        ck_assert(fzri_peer_policy_is_own(&policy, &addr));
      }
    const fzr_addr other = fzt_addr("203.0.113.2:53");
    ck_assert(may_reach(&policy, &other));
    ck_assert(!fzri_peer_policy_is_own(&policy, &other));
    fzri_peer_policy_free(&policy);
  }
}
END_TEST

/* The network of Firezone's own compose file: relays, clients and gateways find each other without any rule. */
START_TEST(test_networks_of_firezone)
{
  static const char *const within[] = {"203.0.113.100:52625", "203.0.113.1:65535", "[203:0:113::100]:52625",
                                       "[203:0:113::3]:50000"};
  fzri_peer_policy policy = make("203.0.113.2", "203:0:113::2", NULL, NULL, 0);
  for (size_t i = 0; i < 4; i++)
    ck_assert_msg(allows(&policy, within[i]), "%s", within[i]);
  ck_assert(!allows(&policy, "172.28.0.100:52625"));
  fzri_peer_policy_free(&policy);
}
END_TEST

/* ---- relays ---- */

/* Wherever a relay may listen, there is no peer: two could be made each other's clients. */
START_TEST(test_ports_of_relays)
{
  static const char *const hosts[] = {"203.0.113.9", "8.8.8.8", "[2600::9]", "[64:ff9b::8.8.8.8]",
                                      "[2002:808:808::1]"};
  for (unsigned other = 0; other < 2; other++) {
    fzri_peer_policy policy = make("203.0.113.1", "2001:db8:ffff::1", NULL, NULL, 0);
    if (other)
      policy.own_ports[0] = 5000; /* listens elsewhere: at IANA's port there may be another relay */
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
      for (unsigned port = 1; port < 65536; port += port < 6000 ? 1 : 61) {
        char peer[64];
        snprintf(peer, sizeof peer, "%s:%u", hosts[i], port);
        const bool relay = port == LISTEN || (other && port == 5000);
        ck_assert_msg(allows(&policy, peer) == !relay, "%s", peer);
      }
    fzri_peer_policy_free(&policy);
  }
  /* In a range that begins low, a port of an allocation may have that number, on the relay's own address. */
  fzri_peer_policy policy = make("203.0.113.1", "2001:db8:ffff::1", NULL, NULL, 0);
  policy.own_ports[0] = 5000;
  policy.lowest_port = 1024;
  ck_assert(allows(&policy, "203.0.113.1:3478"));
  ck_assert(!allows(&policy, "203.0.113.1:5000"));
  ck_assert(!allows(&policy, "203.0.113.2:3478"));
  fzri_peer_policy_free(&policy);
}
END_TEST

START_TEST(test_rules_with_ports)
{
  fzr_peer_rule rules[16];
  static const struct {
    const char *cidr;
    bool allow;
  } given[] = {{"192.0.2.1:3478", true},   {"192.0.2.128/25:3478", true}, {"192.0.2.200", true},
               {"198.51.100.0/24", true},  {"10.0.0.5:5000", true},       {"8.8.8.8:53", false},
               {"9.0.0.0/8:80", true},     {"9.0.0.0/8", false},          {"7.0.0.0/8:80", true},
               {"7.0.0.0/8:80", false},    {"[2600:1::/32]:3478", true},  {"203.0.113.1:3478", true},
               {"64:ff9b::/96:3478", true}};
  const size_t n = sizeof given / sizeof *given;
  for (size_t i = 0; i < n; i++)
    ck_assert_int_eq(fzr_peer_rule_parse(given[i].cidr, given[i].allow, &rules[i]), 0);
  fzri_peer_policy policy = make("203.0.113.1", "2001:db8:ffff::1", NULL, rules, n);
  ck_assert(allows(&policy, "192.0.2.1:3478"));
  ck_assert(!allows(&policy, "192.0.2.2:3478"));
  ck_assert(allows(&policy, "192.0.2.2:3479"));
  ck_assert(allows(&policy, "192.0.2.129:3478"));
  ck_assert(!allows(&policy, "192.0.2.200:3478")); /* the longer prefix decides, and names no port */
  ck_assert(allows(&policy, "192.0.2.200:3479"));
  ck_assert(!allows(&policy, "198.51.100.1:3478")); /* only a rule with the port opens it */
  ck_assert(allows(&policy, "10.0.0.5:5000"));      /* and that beats the scope */
  ck_assert(!allows(&policy, "10.0.0.5:5001"));
  ck_assert(!allows(&policy, "8.8.8.8:53"));
  ck_assert(allows(&policy, "8.8.8.8:54"));
  ck_assert(allows(&policy, "9.1.1.1:80")); /* of equal prefixes, the one with a port */
  ck_assert(!allows(&policy, "9.1.1.1:81"));
  ck_assert(!allows(&policy, "7.1.1.1:80")); /* then deny */
  ck_assert(allows(&policy, "7.1.1.1:81"));
  ck_assert(allows(&policy, "[2600:1::7]:3478"));
  ck_assert(!allows(&policy, "[2600:2::7]:3478"));
  ck_assert(!allows(&policy, "203.0.113.1:3478")); /* never the relay itself */
  ck_assert(allows(&policy, "[64:ff9b::192.0.2.1]:3478"));
  ck_assert(!allows(&policy, "[64:ff9b::192.0.2.2]:3478")); /* the inner one is a relay */
  /* Who asks for any port may have what one port is open of. */
  fzri_peer_judgement judged;
  fzr_addr any = fzt_addr("10.0.0.5");
  ck_assert_int_eq(fzri_peer_policy_judge(&policy, &any, true, &judged), FZR_PEER_ALLOWED);
  any = fzt_addr("8.8.8.8");
  ck_assert_int_eq(fzri_peer_policy_judge(&policy, &any, true, &judged), FZR_PEER_ALLOWED);
  any = fzt_addr("10.0.0.6");
  ck_assert_int_eq(fzri_peer_policy_judge(&policy, &any, true, &judged), FZR_PEER_SCOPE);
  fzri_peer_policy_free(&policy);
}
END_TEST

/* Why, by which rule, and of which address. */
START_TEST(test_reasons)
{
  fzr_peer_rule rules[2];
  static const struct {
    const char *peer;
    enum fzr_peer_reason reason;
    const char *about; /* NULL: the peer */
    bool rule;
  } cases[] = {{"8.8.8.8:80", FZR_PEER_ALLOWED, NULL, false},
               {"8.8.8.8:0", FZR_PEER_NOBODY, NULL, false},
               {"224.0.0.1:80", FZR_PEER_NOBODY, NULL, false},
               {"203.0.113.1:80", FZR_PEER_OWN, NULL, false},
               {"8.8.4.4:80", FZR_PEER_DENIED, NULL, true},
               {"8.8.8.8:3478", FZR_PEER_RELAY, NULL, false},
               {"10.0.0.1:80", FZR_PEER_SCOPE, NULL, false},
               {"[fe80::1]:80", FZR_PEER_SCOPE, NULL, false},
               {"[64:ff9b::8.8.4.4]:80", FZR_PEER_DENIED, "8.8.4.4:80", true},
               {"[2002:a00:1::1]:80", FZR_PEER_SCOPE, "10.0.0.1:80", false},
               {"[2002:cb00:7101::1]:80", FZR_PEER_OWN, "203.0.113.1:80", false},
               {"[64:ff9b::240.0.0.1]:80", FZR_PEER_NOBODY, "240.0.0.1:80", false}};
  ck_assert_int_eq(fzr_peer_rule_parse("8.8.4.0/24", false, &rules[0]), 0);
  fzri_peer_policy policy = make("203.0.113.1", "2001:db8:ffff::1", NULL, rules, 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fzri_peer_judgement judged;
    const fzr_addr peer = fzt_addr(cases[i].peer);
    const fzr_addr about = fzt_addr(cases[i].about ? cases[i].about : cases[i].peer);
    ck_assert_int_eq(fzri_peer_policy_judge(&policy, &peer, false, &judged), cases[i].reason);
    ck_assert_int_eq(judged.reason, cases[i].reason);
    if (judged.reason)
      ck_assert_msg(fzr_addr_equal(&judged.about, &about), "%s", cases[i].peer);
    ck_assert_int_eq(judged.rule == &policy.rules[0], cases[i].rule);
  }
  fzri_peer_policy_free(&policy);
}
END_TEST

START_TEST(test_own_services_on_loopback)
{
  static const char *const hosts[] = {"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"};
  fzri_peer_policy policy = make("127.0.0.1", "::1", NULL, NULL, 0);
  for (size_t i = 0; i < 4; i++)
    for (unsigned port = 1; port < 65536; port += port < 11000 ? 1 : 97) {
      char peer[64];
      snprintf(peer, sizeof peer, "%s:%u", hosts[i], port);
      ck_assert_msg(allows(&policy, peer) == (port != LISTEN && port != HEALTH && port != CONTROL), "%s",
                    peer);
    }
  fzri_peer_policy_free(&policy);
}
END_TEST

/* A wildcard bind address is nobody's, and must not count as own. */
START_TEST(test_wildcards_are_not_own)
{
  fzri_peer_policy policy = make("203.0.113.1", NULL, "0.0.0.0", NULL, 0);
  ck_assert_uint_eq(policy.own_count, 1);
  fzri_peer_policy_free(&policy);
}
END_TEST

/* ---- rules ---- */

START_TEST(test_rules)
{
  fzr_peer_rule rules[16];
  static const struct {
    const char *cidr;
    bool allow;
  } given[] = {{"10.0.0.0/8", true},   {"10.1.0.0/16", false},  {"10.1.2.0/24", true}, {"8.8.8.8", false},
               {"9.0.0.0/8", true},    {"9.0.0.0/8", false},    {"7.0.0.0/8", false},  {"7.0.0.0/8", true},
               {"2600:1::/32", false}, {"2600:1:2::/48", true}, {"fd00::/8", true},    {"224.0.0.0/4", true},
               {"64:ff9b::/96", true}, {"::ffff:0:0/96", true}};
  const size_t n = sizeof given / sizeof *given;
  for (size_t i = 0; i < n; i++)
    ck_assert_int_eq(fzr_peer_rule_parse(given[i].cidr, given[i].allow, &rules[i]), 0);
  fzri_peer_policy policy = make("203.0.113.1", "2001:db8:ffff::1", NULL, rules, n);
  ck_assert(allows(&policy, "10.0.0.1:80"));  /* beats the scope */
  ck_assert(!allows(&policy, "10.1.0.1:80")); /* the longer one */
  ck_assert(allows(&policy, "10.1.2.1:80"));  /* the longest */
  ck_assert(!allows(&policy, "8.8.8.8:80"));
  ck_assert(allows(&policy, "8.8.8.9:80"));
  ck_assert(!allows(&policy, "9.1.1.1:80")); /* deny wins a tie, */
  ck_assert(!allows(&policy, "7.1.1.1:80")); /* in either order */
  ck_assert(!allows(&policy, "[2600:1::1]:80"));
  ck_assert(allows(&policy, "[2600:1:2::1]:80"));
  ck_assert(allows(&policy, "[2600:2::1]:80"));
  ck_assert(allows(&policy, "[fd01::1]:80"));
  ck_assert(!allows(&policy, "224.0.0.1:80")); /* what is no peer can't be made one */
  ck_assert(!allows(&policy, "192.168.0.1:80"));
  ck_assert(allows(&policy, "[64:ff9b::10.0.0.1]:80"));  /* both pass */
  ck_assert(!allows(&policy, "[64:ff9b::10.1.0.1]:80")); /* the inner one does not */
  ck_assert(!allows(&policy, "[::ffff:192.168.0.1]:80"));
  fzri_peer_policy_free(&policy);
}
END_TEST

START_TEST(test_rule_texts)
{
  static const char *const bad[] = {"",
                                    "/",
                                    "10.0.0.0/",
                                    "10.0.0.0/33",
                                    "10.0.0.0/-1",
                                    "10.0.0.0/08",
                                    "10.0.0.1/8",
                                    "10.0.0.0/8 ",
                                    "10.0.0/8",
                                    "10.0.0.0:0",
                                    "::/129",
                                    "::1/127",
                                    "[::]/0",
                                    "fe80::1%1",
                                    "2600::/1000",
                                    "10.0.0.0/8/8",
                                    "host/8",
                                    "10.0.0.0/+8",
                                    "1.2.3.4:",
                                    "1.2.3.4:65536",
                                    "1.2.3.4:080",
                                    "1.2.3.4:80:80",
                                    "1.2.3.4:80/32",
                                    "1.2.3.4/32:",
                                    "1.2.3.4/32:0",
                                    "1.2.3.4/33:80",
                                    "[::1]",
                                    "[::1]:",
                                    "[::1]:0",
                                    "[::1]:x",
                                    "[::1",
                                    "[1.2.3.4]:80",
                                    "[::1]/128:80",
                                    "[[::1]]:80",
                                    "[::1:80",
                                    "::1]:80",
                                    "[fe80::1%1]:80",
                                    "[]:80",
                                    ":80",
                                    "/8:80",
                                    "1.2.3.4:+80",
                                    "1.2.3.4: 80"};
  static const struct {
    const char *text;
    unsigned prefix, port;
    const char *written; /* NULL: as it was read */
  } good[] = {{"0.0.0.0/0", 0, 0, NULL},
              {"10.0.0.0/8", 8, 0, NULL},
              {"192.0.2.1", 32, 0, NULL},
              {"192.0.2.1/32", 32, 0, "192.0.2.1"},
              {"::/0", 0, 0, NULL},
              {"::1", 128, 0, NULL},
              {"2600::/12", 12, 0, NULL},
              {"192.0.2.1:1", 32, 1, NULL},
              {"192.0.2.0/24:65535", 24, 65535, NULL},
              {"0.0.0.0/0:3478", 0, 3478, NULL},
              {"[2001:db8::1]:3478", 128, 3478, NULL},
              {"[2001:db8::/32]:3478", 32, 3478, NULL},
              {"2001:db8::/32:3478", 32, 3478, "[2001:db8::/32]:3478"},
              {"[::/0]:80", 0, 80, NULL},
              {"[::ffff:1.2.3.4]:80", 128, 80, "[::ffff:102:304]:80"}};
  char text[FZR_PEER_RULE_TEXT_MAX];
  fzr_peer_rule rule, before;
  memset(&rule, 0x5a, sizeof rule);
  before = rule;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(fzr_peer_rule_parse(bad[i], true, &rule) == FZR_ERR_CONFIG_RULE, "accepted: '%s'", bad[i]);
  ck_assert_int_eq(fzr_peer_rule_parse(NULL, true, &rule), FZR_ERR_CONFIG_RULE);
  ck_assert_int_eq(fzr_peer_rule_parse("::1", true, NULL), FZR_ERR_CONFIG_RULE);
  ck_assert_mem_eq(&rule, &before, sizeof rule);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    ck_assert_int_eq(fzr_peer_rule_parse(good[i].text, i % 2 == 0, &rule), 0);
    ck_assert_uint_eq(rule.prefix, good[i].prefix);
    ck_assert_uint_eq(rule.net.port, good[i].port);
    ck_assert_int_eq(rule.allow, i % 2 == 0);
    const char *written = good[i].written ? good[i].written : good[i].text;
    ck_assert_int_eq(fzr_peer_rule_format(&rule, text, sizeof text), (int)strlen(written));
    ck_assert_str_eq(text, written);
    ck_assert_int_eq(fzr_peer_rule_format(&rule, text, strlen(written)), FZR_ERR_BUFFER_TOO_SMALL);
  }
  ck_assert_int_eq(fzr_peer_rule_format(NULL, text, sizeof text), FZR_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_unsound_rules_are_refused)
{
  fzr_peer_rule rules[3] = {{.net = fzt_addr("10.0.0.1"), .prefix = 8},
                            {.net = fzt_addr("10.0.0.0"), .prefix = 33},
                            {.net = {{0}, 0, 0, FZR_FAMILY_NONE, 0}, .prefix = 0}};
  for (unsigned i = 0; i < 3; i++) {
    fzri_mem mem;
    fzri_peer_policy policy;
    fzr_config config = fzr_config_init();
    fzri_mem_init(&mem, NULL);
    config.peer_rules = &rules[i];
    config.peer_rule_count = 1;
    ck_assert_int_eq(fzri_peer_policy_init(&policy, &mem, &config), FZR_ERR_CONFIG_RULE);
    ck_assert_uint_eq(mem.used, 0);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("peer_policy");
  TCase *tc = tcase_create("peer_policy");
  tcase_add_loop_test(tc, test_scope_of_the_relay, LOOPBACK, GLOBAL + 1);
  tcase_add_test(tc, test_families_are_apart);
  tcase_add_test(tc, test_own_addresses);
  tcase_add_test(tc, test_own_services_on_loopback);
  tcase_add_test(tc, test_networks_of_firezone);
  tcase_add_test(tc, test_ports_of_relays);
  tcase_add_test(tc, test_rules_with_ports);
  tcase_add_test(tc, test_reasons);
  tcase_add_test(tc, test_wildcards_are_not_own);
  tcase_add_test(tc, test_rules);
  tcase_add_test(tc, test_rule_texts);
  tcase_add_test(tc, test_unsound_rules_are_refused);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
