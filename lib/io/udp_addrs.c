/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses the host has, as rtnetlink tells: at the start, and when one comes or goes. What comes is told to the engine at once,
 * message by message; for what goes, which is in no hurry, and for what was lost, all are asked for again. */
#include "udp_addrs.h"

#include "../base/addr.h"
#include "netlink.h"
#include "udp_internal.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Addresses that go one by one make one question. */
#define ASK_AFTER (200 * FZR_MILLISECOND)
/* After a question that could not be put. */
#define ASK_AGAIN FZR_SECOND
/* Messages read in one turn: each is an address, or a part of a list with hundreds. */
#define READS 32u
/* The kernel makes the parts of a list no larger. */
#define PART 32768u
/* The kernel answers within the call; this is for one that is busy with its interfaces. */
#define WAIT_MS 2000
/* A list may have changed while it was made. */
#define FIRST_TRIES 8u

typedef struct question {
  struct nlmsghdr header;
  union {
    struct ifaddrmsg addrs;
    struct {
      struct rtmsg route;
      struct rtattr attr;
      uint8_t ip[16];
    } to;
  } body;
} question;

/* Waits for an answer on |fd|, also when signals come. Returns whether there is one. */
static bool is_answered(int fd)
{
  struct pollfd ready = {.fd = fd, .events = POLLIN};
  int n;
  do
    n = poll(&ready, 1, WAIT_MS);
  while (n < 0 && errno == EINTR);
  return n == 1;
}

/* ---- whether an address is the host's ---- */

/* Asks where packets to |addr| go: for an address of the host's own, however it came by it, to itself. Returns 1, 0, or -1 if
 * nobody knows. */
static int asks_itself(int fd, const fzr_addr *addr)
{
  const bool v4 = addr->family == FZR_FAMILY_IPV4;
  const unsigned len = v4 ? 4 : 16;
  union {
    struct nlmsghdr header;
    uint8_t bytes[4096];
  } answer;
  question q = {0};
  q.header = (struct nlmsghdr){.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1};
  q.header.nlmsg_len = (uint32_t)NLMSG_LENGTH(sizeof q.body.to.route + RTA_LENGTH(len));
  q.body.to.route = (struct rtmsg){.rtm_family = v4 ? AF_INET : AF_INET6, .rtm_dst_len = (uint8_t)(len * 8)};
  q.body.to.attr = (struct rtattr){.rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = RTA_DST};
  memcpy(q.body.to.ip, addr->ip, len);
  if (!fzri_netlink_put(fd, &q.header) || !is_answered(fd))
    return -1;
  const ssize_t n = fzri_netlink_take(fd, &answer, sizeof answer);
  if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)))
    return -1;
  if (answer.header.nlmsg_type != RTM_NEWROUTE)
    return 0; /* there is no route to it */
  return ((const struct rtmsg *)NLMSG_DATA(&answer.header))->rtm_type == RTN_LOCAL;
}

/* Whether |addr| is the host's. Where nobody knows, a bind is tried all the same: it fails if not. */
static bool is_local(const fzr_addr *addr)
{
  const int fd = fzri_netlink_open(0);
  if (fd < 0)
    return true;
  const int itself = asks_itself(fd, addr);
  close(fd);
  return itself != 0;
}

static bool is_link_local6(const fzr_addr *addr)
{
  return addr->family == FZR_FAMILY_IPV6 && addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

static bool is_loopback(const fzr_addr *addr)
{
  static const uint8_t loopback6[16] = {[15] = 1};
  return addr->family == FZR_FAMILY_IPV4 ? addr->ip[0] == 127 : !memcmp(addr->ip, loopback6, 16);
}

/* Notes whether others may be reached by this address of the host, and whether it is the public one. */
static void note(fzr_udp *udp, const fzr_addr *addr)
{
  fzri_addrs *a = &udp->addrs;
  fzr_addr public_addr;
  const unsigned slot = addr->family == FZR_FAMILY_IPV6;
  if (!is_loopback(addr) && !is_link_local6(addr))
    a->reach[slot] = true;
  if (fzr_engine_public_addr(udp->engine, (enum fzr_family)addr->family, &public_addr) &&
      memcmp(public_addr.ip, addr->ip, sizeof addr->ip) == 0)
    a->has_public[slot] = true;
}

static fzr_addr loopback_of(enum fzr_family family)
{
  static const uint8_t ip4[4] = {127, 0, 0, 1}, ip6[16] = {[15] = 1};
  return family == FZR_FAMILY_IPV4 ? fzr_addr_ipv4(ip4, 0) : fzr_addr_ipv6(ip6, 0);
}

/* What follows for relayed addresses of |family|: whether they can be had, and whether the public one is the host's own. */
static void judge(fzr_udp *udp, unsigned slot)
{
  fzri_addrs *a = &udp->addrs;
  fzr_addr public_addr;
  const enum fzr_family family = slot ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
  const fzr_addr *bound = slot ? &udp->config.bind_ip6 : &udp->config.bind_ip4;
  if (!fzr_engine_public_addr(udp->engine, family, &public_addr))
    return;
  /* One that an interface has just got may not be in the routes yet. */
  const bool local = a->has_public[slot] || is_local(&public_addr);
  a->own_public[slot] =
      local && fzri_is_unspecified(bound) && !(slot ? udp->config.any_ip6 : udp->config.any_ip4);
  a->inside[slot] = !local;
  a->public_addr[slot] = public_addr;
  a->inner_addr[slot] = fzri_is_unspecified(bound) ? loopback_of(family) : *bound;
  a->offered[slot] = udp->listen[slot] && (local || a->reach[slot] || !fzri_is_unspecified(bound) ||
                                           udp->config.ignore_host_addrs);
  fzr_engine_set_offered(udp->engine, family, a->offered[slot]);
}

static void judge_both(fzr_udp *udp)
{
  for (unsigned slot = 0; slot < 2; slot++)
    judge(udp, slot);
}

const fzr_addr *fzri_addrs_for_port(fzr_udp *udp, uint8_t family, fzr_addr *room)
{
  const unsigned slot = family == FZR_FAMILY_IPV6;
  if (udp->addrs.own_public[slot] && fzr_engine_public_addr(udp->engine, (enum fzr_family)family, room))
    return room;
  return slot ? &udp->config.bind_ip6 : &udp->config.bind_ip4;
}

/* ---- the list ---- */

static int grow(fzr_udp *udp)
{
  fzri_addrs *a = &udp->addrs;
  const size_t room = a->room ? 2 * a->room : 64;
  fzr_addr *list = fzri_mem_calloc(&udp->mem, room, sizeof *list);
  if (!list)
    return FZR_ERR_NO_MEMORY;
  if (a->count)
    memcpy(list, a->list, a->count * sizeof *list);
  fzri_mem_free(&udp->mem, a->list, a->room * sizeof *list);
  a->list = list;
  a->room = room;
  return 0;
}

static void forget_list(fzr_udp *udp)
{
  fzri_addrs *a = &udp->addrs;
  fzri_mem_free(&udp->mem, a->list, a->room * sizeof *a->list);
  a->list = NULL;
  a->count = a->room = 0;
}

/* The address in an attribute of RTM_NEWADDR that is of |len| bytes. NULL: there is none. */
static const uint8_t *ip_in(const struct nlmsghdr *m, uint16_t type, size_t len)
{
  size_t found;
  const uint8_t *ip = fzri_netlink_attribute_of(m, sizeof(struct ifaddrmsg), type, &found);
  return ip && found == len ? ip : NULL;
}

/* The address that RTM_NEWADDR is about. Returns whether there is one. */
static bool read_address(const struct nlmsghdr *m, fzr_addr *out)
{
  const struct ifaddrmsg *msg = NLMSG_DATA(m);
  if (m->nlmsg_len < NLMSG_LENGTH(sizeof *msg) || (msg->ifa_family != AF_INET && msg->ifa_family != AF_INET6))
    return false;
  const bool v4 = msg->ifa_family == AF_INET;
  const size_t len = v4 ? 4 : 16;
  /* On a link with two ends, IFA_ADDRESS is the other one's. */
  const uint8_t *ip = ip_in(m, IFA_LOCAL, len);
  if (!ip)
    ip = ip_in(m, IFA_ADDRESS, len);
  if (!ip)
    return false;
  *out = v4 ? fzr_addr_ipv4(ip, 0) : fzr_addr_ipv6(ip, 0);
  return true;
}

/* All are to be asked for at |when|. */
static void ask_at(fzri_addrs *a, fzr_time when)
{
  if (!a->stale || when < a->ask_at)
    a->ask_at = when;
  a->stale = true;
}

static void ask(fzr_udp *udp, fzr_time now)
{
  fzri_addrs *a = &udp->addrs;
  question q = {0};
  q.header = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_LENGTH(sizeof q.body.addrs),
                               .nlmsg_type = RTM_GETADDR,
                               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                               .nlmsg_seq = ++a->seq};
  a->stale = false;
  a->count = 0;
  a->asked = fzri_netlink_put(a->socket->fd, &q.header);
  if (!a->asked)
    ask_at(a, now + ASK_AGAIN);
}

static void came(fzr_udp *udp, const struct nlmsghdr *m, fzr_time now)
{
  fzri_addrs *a = &udp->addrs;
  const bool of_list = m->nlmsg_flags & NLM_F_MULTI;
  fzr_addr addr;
  if ((of_list && (!a->asked || m->nlmsg_seq != a->seq)) || !read_address(m, &addr))
    return;
  if (a->asked && a->count == a->room && grow(udp))
    ask_at(a, now + ASK_AGAIN);
  else if (a->asked)
    a->list[a->count++] = addr;
  if (of_list)
    return;
  note(udp, &addr);
  a->changed = true;
  if (fzr_engine_add_own_addrs(udp->engine, &addr, 1))
    ask_at(a, now + ASK_AGAIN);
}

/* What sockets are bound to is the relay's own, also while the host does not have it. */
static int tell_bound(fzr_udp *udp)
{
  const fzr_addr bound[2] = {udp->config.bind_ip4, udp->config.bind_ip6};
  return fzr_engine_add_own_addrs(udp->engine, bound, 2);
}

/* The list is whole. */
static void listed(fzr_udp *udp, fzr_time now)
{
  fzri_addrs *a = &udp->addrs;
  a->asked = false;
  a->changed = true;
  memset(a->reach, 0, sizeof a->reach);
  memset(a->has_public, 0, sizeof a->has_public);
  for (size_t i = 0; i < a->count; i++)
    note(udp, &a->list[i]);
  /* What is missing for want of memory may be what is to be protected: what was told before stays then, and all are asked for again. */
  if (!a->stale && (fzr_engine_set_own_addrs(udp->engine, a->list, a->count) || tell_bound(udp)))
    ask_at(a, now + ASK_AGAIN);
  a->known = a->known || !a->stale;
  forget_list(udp);
}

static void take_message(fzr_udp *udp, const struct nlmsghdr *m, fzr_time now)
{
  fzri_addrs *a = &udp->addrs;
  if (m->nlmsg_flags & NLM_F_DUMP_INTR)
    ask_at(a, now + ASK_AFTER); /* it changed while it was made */
  if (m->nlmsg_type == RTM_NEWADDR) {
    came(udp, m, now);
  } else if (m->nlmsg_type == RTM_DELADDR) {
    ask_at(a, now + ASK_AFTER);
  } else if (a->asked && m->nlmsg_seq == a->seq) {
    if (m->nlmsg_type == NLMSG_DONE) {
      listed(udp, now);
    } else if (m->nlmsg_type == NLMSG_ERROR) {
      a->asked = false;
      ask_at(a, now + ASK_AGAIN);
    }
  }
}

/* Reads one message, or a part of the list. Returns 0, or errno. */
static int read_some(fzr_udp *udp, fzr_time now)
{
  union {
    struct nlmsghdr header;
    uint8_t bytes[PART];
  } part;
  const ssize_t n = fzri_netlink_take(udp->addrs.socket->fd, &part, sizeof part);
  if (n < 0)
    return errno;
  const uint8_t *at = part.bytes;
  size_t rest = (size_t)n;
  for (const struct nlmsghdr *m; (m = fzri_netlink_next(&at, &rest));)
    take_message(udp, m, now);
  return 0;
}

void fzri_addrs_ready(fzr_udp *udp, fzr_time now)
{
  for (unsigned i = 0; i < READS; i++) {
    const int error = read_some(udp, now);
    if (error == EAGAIN || error == EWOULDBLOCK)
      break;
    if (error && error != EINTR)
      ask_at(&udp->addrs, now + ASK_AFTER); /* ENOBUFS: some were lost */
  }
  if (!udp->addrs.changed)
    return;
  udp->addrs.changed = false;
  judge_both(udp);
}

/* ---- beginning and end ---- */

/* Waits for the first list. Returns 0 or a negative FZR_ERR_…. */
static int first_list(fzr_udp *udp)
{
  for (unsigned tries = 0; tries < FIRST_TRIES && !udp->addrs.known; tries++) {
    ask(udp, 0);
    if (!udp->addrs.asked)
      return FZR_ERR_IO;
    while (udp->addrs.asked) {
      if (!is_answered(udp->addrs.socket->fd))
        return FZR_ERR_IO;
      const int error = read_some(udp, 0);
      if (error && error != EINTR && error != ENOBUFS)
        return FZR_ERR_IO;
    }
  }
  return udp->addrs.known ? 0 : FZR_ERR_NO_MEMORY;
}

int fzri_addrs_start(fzr_udp *udp)
{
  fzri_addrs *a = &udp->addrs;
  int error = 0;
  if (udp->config.ignore_host_addrs) {
    judge_both(udp);
    return tell_bound(udp);
  }
  int fd = fzri_netlink_open(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
  const bool follows = fd >= 0;
  if (!follows)
    fd = fzri_netlink_open(0); /* what there is now has to do */
  if (fd < 0)
    return FZR_ERR_IO;
  a->socket = fzri_socket_new(udp, fd);
  if (!a->socket) {
    close(fd);
    return FZR_ERR_NO_MEMORY;
  }
  a->socket->addresses = true;
  error = first_list(udp);
  if (!error && follows)
    error = fzri_socket_watch(udp, a->socket);
  udp->stats.follows_addrs = follows && !error;
  if (error || !follows)
    fzri_addrs_stop(udp);
  if (!error)
    judge_both(udp);
  return error;
}

void fzri_addrs_stop(fzr_udp *udp)
{
  if (udp->addrs.socket)
    fzri_socket_close(udp, udp->addrs.socket);
  udp->addrs.socket = NULL;
  udp->addrs.stale = udp->addrs.asked = false;
  forget_list(udp);
}

fzr_time fzri_addrs_deadline(const fzr_udp *udp)
{
  const fzri_addrs *a = &udp->addrs;
  return a->stale && !a->asked ? a->ask_at : FZR_TIME_NEVER;
}

void fzri_addrs_settle(fzr_udp *udp, fzr_time now)
{
  if (now >= fzri_addrs_deadline(udp))
    ask(udp, now);
}

void fzri_addrs_of_port(const fzr_udp *udp, const fzri_socket *s, fzr_addr *out)
{
  if (!s->from_public || !fzr_engine_public_addr(udp->engine, (enum fzr_family)s->family, out))
    *out = s->family == FZR_FAMILY_IPV4 ? udp->config.bind_ip4 : udp->config.bind_ip6;
  out->port = s->port;
}
