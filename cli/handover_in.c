/* SPDX-License-Identifier: Apache-2.0 */
#include "handover_in.h"

#include "handover/take.h"
#include "log/log.h"
#include "take_over.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- whether it fits ---- */

/* Clients and sockets have the address that there was: it can neither change nor come or go. */
static bool same_address(const fzr_addr *theirs, const fzr_addr *ours, const char *option, char *reason)
{
  char there[FZR_ADDR_TEXT_MAX] = "none", here[FZR_ADDR_TEXT_MAX] = "none";
  if (theirs->family == ours->family && memcmp(theirs->ip, ours->ip, sizeof ours->ip) == 0)
    return true;
  if (theirs->family)
    fzr_addr_format(theirs, false, there, sizeof there);
  if (ours->family)
    fzr_addr_format(ours, false, here, sizeof here);
  snprintf(reason, HANDOVER_REASON_MAX,
           "%s is %s in the old relay and %s in the new one, and can't change without a restart", option,
           there, here);
  return false;
}

/* Who is there talks to that port. Nobody does where all that there is are connections without an allocation. */
static bool keeps_clients(uint16_t theirs, uint16_t ours, uint32_t clients, const char *option, char *reason)
{
  char here[8] = "none";
  if (theirs == ours || !clients)
    return true;
  if (ours)
    snprintf(here, sizeof here, "%u", ours);
  snprintf(reason, HANDOVER_REASON_MAX,
           "%s is %u in the old relay, which has %u client%s there, and %s in the new one: it can't change "
           "while they "
           "are there, or without a restart",
           option, theirs, clients, clients == 1 ? "" : "s", here);
  return false;
}

bool handover_in_fits(const handover_message *offer, const options *o, char reason[HANDOVER_REASON_MAX])
{
  const fzr_addr none = {0};
  if (!same_address(&offer->public_ip4, &o->public_ip4, "--public-ip4-addr", reason) ||
      !same_address(&offer->public_ip6, &o->public_ip6, "--public-ip6-addr", reason) ||
      !same_address(&offer->bind_ip4, o->public_ip4.family ? &o->bind_ip4 : &none, "--bind-ip4-addr",
                    reason) ||
      !same_address(&offer->bind_ip6, o->public_ip6.family ? &o->bind_ip6 : &none, "--bind-ip6-addr", reason))
    return false;
  if (!keeps_clients(offer->tcp_listen_port, o->tcp_listen_port, offer->tcp_clients, "--tcp-listen-port",
                     reason) ||
      !keeps_clients(offer->tls_listen_port, o->tls_listen_port, offer->tls_clients, "--tls-listen-port",
                     reason))
    return false;
  const char *why = !*offer->secret != !o->token ? "one of both has a portal and the other has none" : NULL;
  if (o->listen_port && offer->listen_port != o->listen_port)
    snprintf(reason, HANDOVER_REASON_MAX,
             "--listen-port is %u in the old relay and %u in the new one, and can't change without a restart",
             offer->listen_port, o->listen_port);
  else if (why)
    snprintf(reason, HANDOVER_REASON_MAX, "%s", why);
  else
    return true;
  return false;
}

/* ---- taking over ---- */

static int fail(const char *reason, char *error)
{
  snprintf(error, OPTIONS_ERROR_MAX, "%s", reason);
  return -1;
}

int handover_in_open(handover_in *in, const options *o, char error[OPTIONS_ERROR_MAX])
{
  char reason[HANDOVER_REASON_MAX];
  int pid = 0;
  in->fd = o->handover_socket ? handover_connect(o->handover_socket) : -1;
  if (!o->handover_socket || (in->fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)))
    return 0;
  if (in->fd < 0) {
    snprintf(error, OPTIONS_ERROR_MAX, "--handover-socket: can't connect to %s: %s", o->handover_socket,
             errno == EAGAIN ? "another process takes over already" : strerror(errno));
    return -1;
  }
  const bool ours = handover_is_ours(in->fd, &pid);
  handover_name(pid, in->peer);
  if (!ours)
    return fail("it is of another user: start this one as that user", error);
  if (handover_ask(in->fd, fzr_version(), &in->offer, reason))
    return fail(reason, error);
  if (handover_in_fits(&in->offer, o, reason))
    return 0;
  handover_refuse(in->fd, reason);
  return fail(reason, error);
}

int handover_in_take(handover_in *in, char error[OPTIONS_ERROR_MAX])
{
  char reason[HANDOVER_REASON_MAX];
  if (!handover_take(in->fd, &in->offer, &in->parcel, reason))
    return 0;
  return fail(reason, error);
}

int handover_in_rest(void *ctx, char error[OPTIONS_ERROR_MAX])
{
  handover_in *in = ctx;
  char reason[HANDOVER_REASON_MAX];
  return handover_take_rest(in->fd, &in->parcel, reason) ? fail(reason, error) : 0;
}

int handover_in_begin(void *ctx, char error[OPTIONS_ERROR_MAX])
{
  handover_in *in = ctx;
  char reason[HANDOVER_REASON_MAX];
  take_over_commit();
  if (handover_begin(in->fd, &in->offer, &in->went_at, reason))
    return fail(reason, error);
  log_info("relay", "Took over from %s, firezone-relay %s", in->peer, in->offer.version);
  in->begun = true;
  in->peer[0] = '\0';
  if (!*in->offer.secret)
    handover_in_joined(in);
  return 0;
}

void handover_in_joined(handover_in *in)
{
  if (in->fd < 0)
    return;
  handover_joined(in->fd);
  close(in->fd);
  in->fd = -1;
  explicit_bzero(in->offer.secret, sizeof in->offer.secret);
}

void handover_in_log(const handover_in *in, const char *error)
{
  if (*in->peer)
    log_error("relay", "can't take over from %s: %s", in->peer, error);
  else
    log_error("relay", "%s", error);
}

void handover_in_forget(handover_in *in)
{
  handover_parcel_drop(&in->parcel);
}

void handover_in_close(handover_in *in, const char *error)
{
  if (in->fd >= 0 && error)
    handover_refuse(in->fd, error);
  if (in->fd >= 0)
    close(in->fd);
  in->fd = -1;
  explicit_bzero(in->offer.secret, sizeof in->offer.secret);
  handover_in_forget(in);
}
