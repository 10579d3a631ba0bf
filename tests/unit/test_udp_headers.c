/* SPDX-License-Identifier: Apache-2.0 */
/* What verdicts put in front of and behind payloads arrives as they say, however it is sent: in runs, singly, after it had to wait, and
 * to a socket of this host. The verdicts are the test's: an engine of today makes headers of four bytes, and nothing behind. */
#include "udp_rig.h"

#include "io/udp_internal.h"

#include <errno.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define MOST 400u /* datagrams of one round */

typedef struct datagram {
  uint8_t bytes[2000];
  size_t len;
} datagram;

static datagram want[MOST];
static unsigned wanted;
/* As in the engine: what is there is valid until the verdicts were handed over. */
static uint8_t headers[MOST * 2 * FZR_HEADER_MAX];
static uint8_t payloads[1 << 17];

/* How the datagrams of a round leave. */
enum way { IN_RUNS, SINGLY, REFUSED, WAITING, WAITING_SINGLY, INSIDE, WAYS };

static uint16_t up_to(fzt_prng *prng, unsigned most)
{
  return (uint16_t)fzt_below(prng, most + 1u);
}

static size_t put(datagram *d, const void *bytes, size_t len)
{
  memcpy(d->bytes + d->len, bytes, len);
  return d->len += len;
}

static void expect(const fzr_verdict *v)
{
  static const uint8_t zeros[FZR_PAD_MAX];
  for (unsigned i = 0; i < v->count; i++) {
    const bool tail = i + 1u == v->count;
    datagram *d = &want[wanted++];
    d->len = 0;
    if (v->hdr_len)
      put(d, fzr_verdict_header(v, i), v->hdr_len);
    put(d, v->data + (size_t)i * v->stride, tail ? v->tail_len : v->len);
    put(d, zeros, tail ? v->tail_pad : v->pad);
  }
}

/* A verdict of |least| to |most| datagrams, with its headers at |hdr|. */
static fzr_verdict random_verdict(fzt_prng *prng, unsigned least, unsigned most, uint8_t *hdr)
{
  fzr_verdict v = {.action = FZR_ACT_FORWARD, .hdr = hdr, .data = payloads + up_to(prng, 999)};
  const unsigned bounds[3] = {least, most < 4 ? most : 4, most};
  v.count = (uint16_t)(least + up_to(prng, bounds[fzt_below(prng, 3)] - least));
  const uint8_t lengths[4] = {0, 4, 36, (uint8_t)up_to(prng, FZR_HEADER_MAX)};
  v.hdr_len = lengths[fzt_below(prng, 4)];
  v.len = (uint16_t)(least - 1u + up_to(prng, wanted + v.count > 60 ? 60 : 1200));
  v.tail_len = v.len;
  v.pad = v.tail_pad = (uint8_t)up_to(prng, FZR_PAD_MAX);
  if (v.len && fzt_below(prng, 2)) {
    v.tail_len = (uint16_t)(1u + up_to(prng, v.len - 1u));
    const unsigned room = (unsigned)v.len + v.pad - v.tail_len;
    v.tail_pad = (uint8_t)up_to(prng, room < FZR_PAD_MAX ? room : FZR_PAD_MAX);
  }
  v.stride = v.len + up_to(prng, 80);
  for (unsigned i = 0; i < (v.count + 1u) * v.hdr_len; i++)
    hdr[i] = (uint8_t)fzt_below(prng, 256);
  const uint8_t flags[3] = {0, FZR_VERDICT_TAIL_HDR, FZR_VERDICT_OWN_HDRS};
  v.flags = flags[fzt_below(prng, 3)];
  return v;
}

static void receive(int fd)
{
  for (unsigned i = 0; i < wanted; i++) {
    uint8_t got[2000];
    const ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
    ck_assert_msg(n == (ssize_t)want[i].len, "datagram %u of %u: %zd bytes, want %zu", i, wanted, n,
                  want[i].len);
    ck_assert_msg(memcmp(got, want[i].bytes, want[i].len) == 0, "datagram %u of %u", i, wanted);
  }
  rig_expect_nothing(fd);
}

/* What the kernel will do with the messages from |fd|. */
static void prepare(enum way way, int fd)
{
  rig.udp->gso.on = way != SINGLY;
  if (way == REFUSED)
    SCRIPT(-EIO); /* the device can't send runs */
  if (way == WAITING || way == WAITING_SINGLY)
    rig_blocked_fd = fd;
}

/* What has waited goes out: |s| takes it again. */
static void unblock(enum way way, fzri_socket *s)
{
  ck_assert_uint_eq(rig_stats().queued_packets, wanted);
  rig_blocked_fd = -1;
  rig.udp->gso.on = way == WAITING;
  fzri_queue_flush(rig.udp, s);
  ck_assert_uint_eq(rig_stats().queued_packets, 0);
}

/* Where the datagrams of a round go: to a client, a peer, or the relayed address of the first client behind a NAT. */
static fzr_addr destination(enum way way, bool to_client)
{
  fzr_sockaddr name;
  socklen_t len = sizeof name;
  fzr_addr addr = rig.peer;
  if (way == INSIDE) {
    addr = rig.udp->addrs.public_addr[0];
    addr.port = rig.relayed.port;
  } else if (to_client) {
    ck_assert_int_eq(getsockname(rig.client_fd, &name.any, &len), 0);
    ck_assert_int_eq(fzr_addr_from_sockaddr(&name.any, len, &addr), 0);
  }
  return addr;
}

static void one_round(fzt_prng *prng, enum way way, bool to_client)
{
  fzri_socket *s = to_client ? rig.udp->listen[0] : rig.host.tokens[2];
  const uint64_t numbers[3] = {1, 4, 100}, verdicts = numbers[fzt_below(prng, 3)];
  size_t at = 0;
  wanted = 0;
  rig.udp->send.may_wait = true;
  prepare(way, s->fd);
  while (wanted < MOST && (!wanted || fzt_below(prng, verdicts))) {
    const unsigned least = way == REFUSED && !wanted ? 2 : 1;
    fzr_verdict v = random_verdict(prng, least, MOST - wanted, headers + at);
    v.io = to_client ? NULL : s;
    v.to = destination(way, to_client);
    v.from = rig.listen;
    v.flags |= way == INSIDE ? FZR_VERDICT_TO_OWN : 0;
    at += (v.count + 1u) * v.hdr_len;
    expect(&v);
    fzri_send_verdicts(rig.udp, &v, 1, rig.relay.now);
  }
  memset(headers, 0xee, sizeof headers); /* the next input of an engine may do that */
  fzri_send_flush(rig.udp);
  rig.udp->send.may_wait = false;
  if (way == WAITING || way == WAITING_SINGLY)
    unblock(way, s);
  receive(way == INSIDE ? rig_relay_fd() : to_client ? rig.client_fd : rig.peer_fd);
}

/* The first client's relayed address is at 203.0.113.1, outside a NAT; its socket gives datagrams one by one. */
static void put_behind_nat(void)
{
  const int off = 0;
  fzri_addrs *a = &rig.udp->addrs;
  a->inside[0] = true;
  a->public_addr[0] = fzt_addr("203.0.113.1");
  a->inner_addr[0] = fzt_addr("127.0.0.1");
  setsockopt(rig_relay_fd(), IPPROTO_UDP, UDP_GRO, &off, sizeof off);
}

START_TEST(test_random)
{
  fzt_prng prng = {fzt_seed("udp_headers")};
  rig_start(false, false, false);
  put_behind_nat();
  for (size_t i = 0; i < sizeof payloads; i++)
    payloads[i] = (uint8_t)(i * 7 + (i >> 8));
  for (uint64_t round = fzt_rounds(100 * WAYS); round; round--) {
    const enum way way = (enum way)(round % WAYS);
    memset(&rig.udp->gso, 0, sizeof rig.udp->gso); /* no destination has refused anything */
    one_round(&prng, way, way != INSIDE && fzt_below(&prng, 2));
    ck_assert_uint_eq(rig.udp->gso.refused, way == REFUSED);
  }
  ck_assert_uint_eq(rig_stats().send_errors, 0);
  ck_assert_uint_gt(rig_most_segments, 1);
  rig_stop();
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("udp_headers");
  TCase *tc = tcase_create("udp_headers");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, test_random);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
