/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_recv.h"

#include "udp_flow.h"
#include "udp_inside.h"
#include "udp_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Datagrams of a turn: how long others wait. A batch that was begun is finished, so that it may be a batch of runs more. */
#define DEFAULT_BUDGET 256u
/* The same of a socket that hears for all allocations. */
#define COMMON_BUDGET 1024u
/* Errors read from a socket in one turn before it has to wait for the next: each is taken off by being read. */
#define MAX_ERRORS 16u
/* How long a socket rests that does nothing but fail: at first, and when that went on. */
#define REST_MIN (10 * FZR_MILLISECOND)
#define REST_MAX FZR_SECOND
/* With fewer free slots than this, what is held is sent before more is read. */
#define MIN_SLOTS 8u

int fzri_recv_init(fzr_udp *udp)
{
  udp->recv.count = udp->config.direct ? FZRI_COMMON_MSGS : FZRI_RECV_MSGS;
  udp->recv.slots = fzri_mem_alloc_lines(&udp->mem, (size_t)udp->recv.count * FZRI_RECV_SLOT);
  if (!udp->recv.slots)
    return FZR_ERR_NO_MEMORY;
  for (unsigned i = 0; i < udp->recv.count; i++) {
    udp->recv.iovs[i] = (struct iovec){udp->recv.slots + (size_t)i * FZRI_RECV_SLOT, 65536};
    struct msghdr *msg = &udp->recv.msgs[i].msg_hdr;
    msg->msg_iov = &udp->recv.iovs[i];
    msg->msg_iovlen = 1;
    msg->msg_name = &udp->recv.names[i];
    msg->msg_control = &udp->recv.controls[i];
  }
  return 0;
}

void fzri_recv_free(fzr_udp *udp)
{
  fzri_mem_free_lines(&udp->mem, udp->recv.slots, (size_t)udp->recv.count * FZRI_RECV_SLOT);
  udp->recv.slots = NULL;
}

void fzri_recv_drop_pages(fzr_udp *udp)
{
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), all = (size_t)FZRI_RECV_MSGS * FZRI_RECV_SLOT;
  const size_t before = -(uintptr_t)udp->recv.slots & (page - 1);
  /* Of memory that a host has from elsewhere the system may not take any: then it stays. */
  madvise(udp->recv.slots + before, (all - before) & ~(page - 1), MADV_DONTNEED);
}

static void describe(fzr_udp *udp, const fzri_socket *s, unsigned i, const fzr_addr *local)
{
  struct mmsghdr *m = &udp->recv.msgs[i];
  fzr_pkt *pkt = &udp->recv.pkts[i];
  pkt->data = udp->recv.iovs[i].iov_base;
  pkt->len = m->msg_len;
  pkt->seg = 0;
  pkt->reserved = 0;
  pkt->to = *local;
  if (fzr_addr_from_sockaddr(&udp->recv.names[i].any, m->msg_hdr.msg_namelen, &pkt->from))
    memset(&pkt->from, 0, sizeof pkt->from); /* the kernel has told no name: nobody's */
  if (udp->addrs.inside[s->family == FZR_FAMILY_IPV6] && !s->listens)
    fzri_inside_from(udp, &pkt->from);
  if (m->msg_hdr.msg_controllen)
    fzri_msg_read_control(&m->msg_hdr, pkt);
  udp->stats.received += pkt->seg ? (pkt->len + pkt->seg - 1) / pkt->seg : 1;
}

/* One recvmmsg into the slots from |first| on. Returns the number of messages, 0 when there are no more, -1 after an error that was
 * counted. */
static int receive(fzr_udp *udp, const fzri_socket *s, unsigned first, unsigned max)
{
  /* Found out once: most turns read few datagrams, and what is done here for all that there is room for is much of their cost. */
  const size_t controllen =
      s->gro || s->common || (s->listens && s->wildcard) ? sizeof udp->recv.controls[0] : 0;
  for (unsigned i = first; i < first + max; i++) {
    struct msghdr *msg = &udp->recv.msgs[i].msg_hdr;
    msg->msg_namelen = sizeof udp->recv.names[i];
    msg->msg_controllen = controllen;
  }
  const int n = recvmmsg(s->fd, udp->recv.msgs + first, max, MSG_DONTWAIT, NULL);
  udp->stats.receive_calls++;
  if (n >= 0)
    return n;
  if (errno == EAGAIN || errno == EWOULDBLOCK)
    return 0;
  if (errno != EINTR)
    udp->stats.receive_errors++;
  return -1;
}

static fzr_addr local_address(const fzr_udp *udp, const fzri_socket *s)
{
  fzr_addr local = s->family == FZR_FAMILY_IPV4 ? udp->config.bind_ip4 : udp->config.bind_ip6;
  local.port = s->port;
  return local;
}

void fzri_recv_release(fzr_udp *udp)
{
  fzri_send_flush(udp);
  udp->recv.held = 0;
}

/* How many slots are free for |s|, after what is held was sent if they would be few. What clients sent is never held: it makes
 * answers, whose memory is the engine's, and opens and closes sockets. */
static unsigned free_slots(fzr_udp *udp, const fzri_socket *s)
{
  if (udp->recv.held && (s->listens || udp->recv.count - udp->recv.held < MIN_SLOTS))
    fzri_recv_release(udp);
  const unsigned room = udp->recv.count - udp->recv.held;
  return s->common || room < FZRI_RECV_MSGS ? room : FZRI_RECV_MSGS;
}

/* Errors that a socket has for its reader are each taken off by being read. What comes again and again (the system has no memory, a
 * filter forbids the call) would be asked for without end, for the socket stays readable. */
static void rest(fzr_udp *udp, fzri_socket *s, fzr_time now)
{
  if (!udp->recv.resting) {
    const bool again = udp->recv.rest_for && now < udp->recv.rest_until + REST_MAX;
    udp->recv.rest_for = !again                              ? REST_MIN
                         : udp->recv.rest_for < REST_MAX / 2 ? udp->recv.rest_for * 2
                                                             : REST_MAX;
    udp->recv.rest_until = now + udp->recv.rest_for;
    udp->recv.resting = true;
  }
  s->resting = true;
  fzri_socket_watch(udp, s);
}

fzr_time fzri_recv_deadline(const fzr_udp *udp)
{
  return udp->recv.resting ? udp->recv.rest_until : FZR_TIME_NEVER;
}

void fzri_recv_settle(fzr_udp *udp, fzr_time now)
{
  if (now < fzri_recv_deadline(udp))
    return;
  udp->recv.resting = false;
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (!s->open || !s->resting)
      continue;
    s->resting = false;
    fzri_socket_watch(udp, s);
  }
}

/* Relays what came by |s| into |n| slots from |first| on. Returns whether |s| is still there: it may be closed by what it received, and its
 * object be another's by then. */
static bool relay(fzr_udp *udp, fzri_socket *s, unsigned first, unsigned n, bool hold, fzr_time now)
{
  const uint64_t serial = s->serial;
  const bool listens = s->listens;
  udp->send.to_clients = NULL;
  udp->send.may_wait = true;
  fzr_driver_rx(udp->driver, listens ? FZR_SIDE_CLIENT : FZR_SIDE_PEER, udp->recv.pkts + first, n, now);
  udp->send.may_wait = false;
  if (!listens && udp->send.to_clients && fzri_socket_is(s, serial))
    fzri_flow_feeds(udp, s, udp->send.to_clients);
  if (!hold)
    fzri_recv_release(udp);
  return fzri_socket_is(s, serial);
}

static void turn_goes_up(uint32_t *turn)
{
  if (turn)
    __atomic_fetch_add(turn, 1, __ATOMIC_RELAXED); /* the kernel reads it */
}

void fzri_recv(fzr_udp *udp, fzri_socket *s, fzr_time now)
{
  const fzr_addr local = local_address(udp, s);
  uint32_t budget = udp->config.budget ? udp->config.budget : s->common ? COMMON_BUDGET : DEFAULT_BUDGET;
  const uint64_t begun = udp->stats.received;
  uint32_t *turn =
      s->common && udp->config.direct_turn ? &udp->config.direct_turn[s->family == FZR_FAMILY_IPV6] : NULL;
  unsigned errors = 0;
  turn_goes_up(turn);
  while (budget) {
    const unsigned room = free_slots(udp, s), first = udp->recv.held;
    const unsigned max = budget < room ? budget : room;
    const uint64_t before = udp->stats.received;
    const int n = receive(udp, s, first, max);
    /* Where there is nothing to read, that may be why the socket is readable. */
    if (s->hears && (n < 0 || (n == 0 && before == begun)) && fzri_errors_read(udp, s))
      continue;
    if (n < 0 && ++errors < MAX_ERRORS)
      continue;
    if (n < 0)
      rest(udp, s, now);
    if (n <= 0)
      break;
    for (unsigned i = first; i < first + (unsigned)n; i++)
      describe(udp, s, i, &local);
    if (s->common)
      fzri_common_regroup(udp->recv.pkts + first, (unsigned)n);
    udp->recv.held += (unsigned)n;
    const uint64_t came = udp->stats.received - before;
    /* Who sends in bulk fills a batch by itself, and has to learn at once when the way out is blocked. */
    const bool hold = !s->listens && udp->recv.hold && (unsigned)n < max;
    if (!relay(udp, s, first, (unsigned)n, hold, now) || fzri_flow_blocked(udp, s))
      break;
    budget -= came < budget ? (uint32_t)came : budget;
    /* Fewer than asked for: the socket was empty. If more has come since, the host will say so. */
    if ((unsigned)n < max)
      break;
  }
  /* Whoever has had his share meanwhile has another, or nothing might come of his that has the socket read again. */
  turn_goes_up(turn);
}
