/* SPDX-License-Identifier: Apache-2.0 */
#include "udp_errors.h"

#include "udp_inside.h"
#include "udp_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <linux/errqueue.h>

/* Errors of one recvmmsg. */
#define BATCH 8u
/* Errors that a socket hears of in a second. One client is told of far fewer, and anybody can forge them. */
#define PER_SECOND 32u
/* How often a message is sent that fails again and again while errors come. */
#define MAX_TRIES 4u

static bool set(const fzri_socket *s, bool on)
{
  return s->family == FZR_FAMILY_IPV4 ? fzri_socket_set(s->fd, IPPROTO_IP, IP_RECVERR, on)
                                      : fzri_socket_set(s->fd, IPPROTO_IPV6, IPV6_RECVERR, on);
}

void fzri_errors_hear(const fzr_udp *udp, fzri_socket *s)
{
  s->hears = udp->errors.wanted && set(s, true);
}

void fzri_errors_hear_or_not(const fzr_udp *udp, fzri_socket *s)
{
  s->hears = set(s, udp->errors.wanted) && udp->errors.wanted;
}

/* |s| has had too many. What waits goes with it, and the one that the next call would fail for. */
static void fall_deaf(fzr_udp *udp, fzri_socket *s)
{
  int pending;
  socklen_t len = sizeof pending;
  s->hears = false;
  s->deaf = true;
  set(s, false);
  getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &pending, &len);
  if (!udp->errors.deaf)
    udp->errors.hear_at = udp->now + FZR_SECOND;
  udp->errors.deaf = true;
}

void fzri_errors_hear_all(fzr_udp *udp)
{
  if (!udp->errors.deaf)
    return;
  udp->errors.deaf = false;
  for (uint32_t i = 0; i < fzri_pool_end(&udp->sockets); i++) {
    fzri_socket *s = fzri_pool_at(&udp->sockets, i);
    if (!s->open || !s->deaf)
      continue;
    s->deaf = false;
    fzri_errors_hear(udp, s);
  }
}

static void hear_again(fzr_udp *udp, fzr_time now)
{
  if (now >= udp->errors.hear_at)
    fzri_errors_hear_all(udp);
}

/* The error that |msg| tells of; false if it is none that came by ICMP. Its name is where the datagram went. */
static bool describe(fzr_udp *udp, const fzri_socket *s, struct msghdr *msg, fzr_peer_error *out)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
    struct sock_extended_err e;
    const bool told = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (!told || c->cmsg_len < CMSG_LEN(sizeof e))
      continue;
    memcpy(&e, CMSG_DATA(c), sizeof e);
    memset(out, 0, sizeof *out);
    if ((e.ee_origin != SO_EE_ORIGIN_ICMP && e.ee_origin != SO_EE_ORIGIN_ICMP6) ||
        fzr_addr_from_sockaddr(msg->msg_name, msg->msg_namelen, &out->peer))
      return false;
    if (udp->addrs.inside[s->family == FZR_FAMILY_IPV6])
      fzri_inside_from(udp, &out->peer);
    out->port = s->port;
    out->type = e.ee_type;
    out->code = e.ee_code;
    out->mtu = e.ee_info;
    return true;
  }
  return false;
}

/* What an error comes with: the error, who has sent it, and what else the socket is told of datagrams. */
typedef struct error_control {
  _Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(fzr_sockaddr)) +
                                         CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
} error_control;

/* |s| has heard of |n|. */
static void count(fzr_udp *udp, fzri_socket *s, unsigned n)
{
  const uint32_t second = (uint32_t)(udp->now / FZR_SECOND);
  udp->stats.receive_errors += n;
  if (s->heard_in != second)
    s->heard = 0;
  s->heard_in = second;
  s->heard = (uint8_t)(s->heard + n);
  if (s->heard > PER_SECOND)
    fall_deaf(udp, s);
}

bool fzri_errors_read(fzr_udp *udp, fzri_socket *s)
{
  struct mmsghdr msgs[BATCH] = {0};
  fzr_sockaddr names[BATCH];
  error_control controls[BATCH];
  int n;
  bool any = false;
  do {
    for (unsigned i = 0; i < BATCH; i++)
      msgs[i].msg_hdr = (struct msghdr){.msg_name = &names[i],
                                        .msg_namelen = sizeof names[i],
                                        .msg_control = &controls[i],
                                        .msg_controllen = sizeof controls[i]};
    n = recvmmsg(s->fd, msgs, BATCH, MSG_ERRQUEUE | MSG_DONTWAIT, NULL);
    udp->stats.receive_calls++;
    count(udp, s, n > 0 ? (unsigned)n : 0);
    for (int i = 0; i < n; i++) {
      any = true;
      if (udp->errors.held < FZRI_ERRORS_HELD &&
          describe(udp, s, &msgs[i].msg_hdr, &udp->errors.found[udp->errors.held]))
        udp->errors.held++;
    }
  } while (n == (int)BATCH && s->hears);
  return any;
}

/* What a send never fails with for another datagram: the socket is full, or the system refuses this one. */
static bool is_own(int error)
{
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS || error == ENOMEM ||
         error == EINVAL || error == EPERM || error == EIO;
}

/* Whether a send by |s|, which hears of errors, may have failed with |error| for a datagram before: it is to be sent again. */
static bool is_to_be_sent_again(fzr_udp *udp, fzri_socket *s, int error)
{
  fzri_errors *e = &udp->errors;
  const uint64_t done = udp->stats.sent + udp->stats.send_errors;
  if (is_own(error))
    return false;
  if (e->done != done) {
    e->done = done;
    e->tries = 0;
  }
  /* There may have been no room for it in the queue, and still it was what the send has failed for. */
  const bool read = fzri_errors_read(udp, s);
  return e->tries++ == 0 || (read && e->tries < MAX_TRIES);
}

enum fzri_send_outcome fzri_errors_outcome(fzr_udp *udp, fzri_socket *s, const fzr_addr *to, int error,
                                           uint16_t seg_len)
{
  if (s->hears && is_to_be_sent_again(udp, s, error))
    return FZRI_SEND_AGAIN;
  return fzri_gso_outcome(&udp->gso, to, error, seg_len);
}

void fzri_errors_settle(fzr_udp *udp, fzr_time now)
{
  const unsigned n = udp->errors.held;
  hear_again(udp, now);
  if (!n)
    return;
  udp->errors.held = 0;
  fzr_driver_peer_errors(udp->driver, udp->errors.found, n, now);
}

fzr_time fzri_errors_deadline(const fzr_udp *udp)
{
  if (udp->errors.held)
    return udp->now;
  return udp->errors.deaf ? udp->errors.hear_at : FZR_TIME_NEVER;
}
