/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of strangers from as many addresses as a flood with forged ones has: sources are 127.x.y.z, of another /24 each.
 *
 *   fzr-strangers ADDR:PORT KIND REQUESTS-A-SECOND SECONDS [USERNAME PASSWORD]
 *
 * KIND is what they ask: `binding`; `anonymous`, an Allocate without credentials; `forged`, one with USERNAME (of the stamp scheme,
 * unless one is given), REALM and a MESSAGE-INTEGRITY that is of no password; `long`, the same with a USERNAME of 500 bytes; `huge`,
 * of 1,400 bytes; `one`, `forged` from one address, 127.254.0.1; `known`, with a MESSAGE-INTEGRITY that is right for USERNAME and PASSWORD. No answer is read. Prints how many were
 * sent. Does not send bunches: what it was held up for is not made up for. */
#include "firezone_relay/firezone_relay.h"
#include "firezone_relay/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH   20u
#define REQUEST 2048u

typedef struct flood {
  int fd;
  fzr_sockaddr to;
  uint8_t request[REQUEST];
  size_t len;
  uint32_t next; /* source */
  bool one;      /* address is all that they come from */
  uint64_t sent, failed;
} flood;

static uint64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int dial(flood *f, const char *text)
{
  fzr_addr addr;
  const int bytes = 4 << 20;
  if (fzr_addr_parse(text, &addr) || addr.family != FZR_FAMILY_IPV4 || addr.ip[0] != 127 || !addr.port)
    return -1;
  fzr_addr_to_sockaddr(&addr, &f->to);
  f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct sockaddr_in any = {.sin_family = AF_INET};
  if (f->fd < 0 || bind(f->fd, (const struct sockaddr *)&any, sizeof any))
    return -1;
  (void)setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  return 0;
}

/* A username of |len| bytes, or the usual one. */
static size_t make_username(uint8_t out[REQUEST], size_t len)
{
  const size_t usual = (size_t)snprintf((char *)out, REQUEST, "4000000000:forgedforgedforg");
  memset(out + usual, 'x', REQUEST - usual);
  return len ? len : usual;
}

static bool build(flood *f, const char *kind, const char *username, const char *password)
{
  static const uint8_t txid[FZR_STUN_TXID_LEN] = {1, 2, 3};
  uint8_t name[REQUEST], key[FZR_STUN_KEY_LEN] = {7};
  f->one = strcmp(kind, "one") == 0;
  const bool binding = strcmp(kind, "binding") == 0;
  size_t len = make_username(name, strcmp(kind, "long") == 0 ? 500 : strcmp(kind, "huge") == 0 ? 1400 : 0);
  fzr_stun_builder b;
  fzr_stun_build(&b, f->request, sizeof f->request, binding ? FZR_STUN_BINDING : FZR_STUN_ALLOCATE,
                 FZR_STUN_REQUEST, txid);
  if (!binding)
    fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  if (!binding && strcmp(kind, "anonymous") != 0) {
    if (username && len < 100) {
      len = strlen(username);
      memcpy(name, username, len < sizeof name ? len : 0);
    }
    if (strcmp(kind, "known") == 0 &&
        fzr_auth_long_term_key(FZR_PASSWORD_MD5, name, len, "firezone", password, key) < 0)
      return false;
    fzr_stun_add(&b, FZR_ATTR_USERNAME, name, len);
    fzr_stun_add(&b, FZR_ATTR_REALM, "firezone", 8);
    fzr_stun_add_integrity(&b, key, sizeof key);
  }
  const int total = fzr_stun_build_finish(&b);
  f->len = total > 0 ? (size_t)total : 0;
  return total > 0;
}

/* The next source: neighbours in time are no neighbours in the network. */
static struct in_addr next_source(flood *f)
{
  if (f->one)
    return (struct in_addr){htonl(0x7ffe0001)};
  const uint32_t net = f->next++ * 40503u & 0xffffu; /* odd: all of them in turn */
  const uint8_t ip[4] = {127, (uint8_t)(1 + (net >> 8) % 250), (uint8_t)net, (uint8_t)(1 + f->next % 250)};
  struct in_addr addr;
  memcpy(&addr, ip, sizeof addr);
  return addr;
}

static void send_batch(flood *f)
{
  static _Alignas(struct cmsghdr) uint8_t control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
  static struct mmsghdr messages[BATCH];
  struct iovec iov = {f->request, f->len};
  for (unsigned i = 0; i < BATCH; i++) {
    struct msghdr *m = &messages[i].msg_hdr;
    *m = (struct msghdr){.msg_name = &f->to,
                         .msg_namelen = sizeof f->to,
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control[i],
                         .msg_controllen = sizeof control[i]};
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    const struct in_pktinfo info = {.ipi_spec_dst = next_source(f)};
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
  }
  const int n = sendmmsg(f->fd, messages, BATCH, 0);
  if (n > 0)
    f->sent += (uint64_t)n;
  else
    f->failed++;
}

static void run(flood *f, double rate, double seconds)
{
  const uint64_t interval = (uint64_t)(1e9 * BATCH / rate);
  const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  for (uint64_t due = now_ns(), now; (now = now_ns()) < end;) {
    if (now < due)
      continue;
    send_batch(f);
    due += interval;
    if (due + interval < now)
      due = now;
  }
}

int main(int argc, char **argv)
{
  static flood f;
  const double rate = argc > 4 ? strtod(argv[3], NULL) : 0, seconds = argc > 4 ? strtod(argv[4], NULL) : 0;
  const char *username = argc > 6 ? argv[5] : NULL, *password = argc > 6 ? argv[6] : "";
  if (rate < 1 || rate > 2e6 || seconds <= 0 || seconds > 120 || dial(&f, argv[1]) ||
      !build(&f, argv[2], username, password)) {
    fprintf(stderr, "usage: fzr-strangers 127.A.B.C:PORT binding|anonymous|forged|long|huge|one|known "
                    "REQUESTS-A-SECOND SECONDS [USERNAME PASSWORD]\n");
    return 2;
  }
  run(&f, rate, seconds);
  printf("{\"sent\":%llu,\"failed\":%llu,\"bytes\":%zu}\n", (unsigned long long)f.sent,
         (unsigned long long)f.failed, f.len);
  close(f.fd);
  return 0;
}
