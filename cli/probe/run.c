/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "flows.h"
#include "look_up.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

typedef struct run {
  const probe_settings *settings;
  FILE *out;
  probe_flows *flows;
  probe_tls_config tls;
  fzr_addr addrs[2];
  size_t addr_count;
  bool worked[3][3];  /* by the family of the way to the relay, and of the relayed address */
  bool alone;         /* no further allocation is to be had for a while */
  bool lacked_any;    /* a family that the relay has no address of */
  bool unroutable[3]; /* a family that there is no way by, from here */
  char note[PROBE_TEXT_MAX / 2];
  enum probe_fault fault;
  probe_facts facts;
} run;

static const char *family_name(unsigned family)
{
  return family == FZR_FAMILY_IPV6 ? "IPv6" : "IPv4";
}

static void on_random(void *ctx, uint8_t *out, size_t len)
{
  (void)ctx;
  if (getrandom(out, len, 0) != (ssize_t)len)
    abort();
}

/* ---- what is written ---- */

static void put_row(FILE *out, enum probe_mark mark, const char *step, const char *text, fzr_time took)
{
  static const char *const marks[] = {
      [PROBE_OK] = "ok", [PROBE_FAILED] = "FAIL", [PROBE_SKIPPED] = "-", [PROBE_NOTED] = "note"};
  fprintf(out, "  %-4s  %-17s  %-58s  %8.1f ms\n", marks[mark], step, text, (double)took / FZR_MILLISECOND);
  fflush(out);
}

static void put_head(const run *r, const fzr_addr *server, enum fzr_family relayed)
{
  char text[FZR_ADDR_TEXT_MAX];
  fzr_addr_format(server, true, text, sizeof text);
  fprintf(r->out, "\n%s over %s", text, probe_transport_name(r->settings->target.transport));
  if (!r->settings->target.stun_only)
    fprintf(r->out, ", relaying to %s", family_name(relayed));
  fputs("\n", r->out);
}

static int put_result(run *r)
{
  char sentence[1024];
  probe_fault_say(r->fault, &r->facts, sentence, sizeof sentence);
  fprintf(r->out, "\n%s: %s\n", probe_fault_word(r->fault), sentence);
  return fflush(r->out) || ferror(r->out) ? EXIT_FAILURE : probe_fault_status(r->fault);
}

/* ---- one way ---- */

static void on_open(void *ctx, enum probe_flow flow, probe_transport transport, const fzr_addr *to)
{
  probe_flows_open(((run *)ctx)->flows, flow, transport, to);
}

static void on_send(void *ctx, enum probe_flow flow, const fzr_addr *to, const uint8_t *data, size_t len)
{
  probe_flows_send(((run *)ctx)->flows, flow, to, data, len);
}

static bool on_login(void *ctx, enum probe_login_kind kind, probe_login *out)
{
  const run *r = ctx;
  return r->settings->login(r->settings->ctx, kind, out);
}

static void on_row(void *ctx, enum probe_mark mark, const char *step, const char *text, fzr_time took)
{
  put_row(((run *)ctx)->out, mark, step, text, took);
}

static probe_plan make_plan(const run *r, const fzr_addr *server, enum fzr_family relayed)
{
  const probe_settings *s = r->settings;
  probe_plan plan = {.server = *server,
                     .transport = s->target.transport,
                     .relayed = relayed,
                     .stun_only = s->target.stun_only,
                     .is_made = s->is_made,
                     .unix_now = unix_now_ns() / FZR_SECOND};
  for (size_t i = 0; i < r->addr_count; i++)
    if (r->addrs[i].family == relayed)
      plan.server_of_peer = r->addrs[i];
  snprintf(plan.realm, sizeof plan.realm, "%s", s->realm ? s->realm : "");
  snprintf(plan.other, sizeof plan.other, "%s", s->other ? s->other : "");
  return plan;
}

static void fail_of_own(run *r, const char *text)
{
  r->fault = PROBE_OWN;
  snprintf(r->facts.text, sizeof r->facts.text, "%s", text);
}

/* What the machine has found. */
static void take_result(run *r, const probe_machine *m, const fzr_addr *server, enum fzr_family relayed)
{
  const enum probe_fault fault = probe_machine_fault(m);
  if (!fault && probe_machine_lacks_family(m)) {
    r->lacked_any = true;
    return;
  }
  if (fault != PROBE_NO_ROUTE || r->addr_count == 1) {
    r->fault = fault;
    r->facts = *probe_machine_facts(m);
  }
  if (fault == PROBE_NO_ROUTE) {
    r->unroutable[server->family] = true;
    r->facts = *probe_machine_facts(m);
  } else if (!fault) {
    r->worked[server->family][relayed] = true;
    r->alone |= probe_machine_facts(m)->alone;
    if (probe_machine_note(m))
      snprintf(r->note, sizeof r->note, "%s", probe_machine_note(m));
  }
}

static void probe_one(run *r, const fzr_addr *server, enum fzr_family relayed)
{
  const probe_plan plan = make_plan(r, server, relayed);
  const probe_ops ops = {r, on_open, on_send, on_random, on_login, on_row};
  probe_machine *m = probe_machine_new(&plan, &ops);
  r->flows = probe_flows_new(&r->tls);
  if (!m || !r->flows) {
    fail_of_own(r, "out of memory");
  } else {
    put_head(r, server, relayed);
    probe_machine_start(m, monotonic_now());
    if (probe_flows_run(r->flows, m))
      fail_of_own(r, strerror(errno));
    else
      take_result(r, m, server, relayed);
  }
  probe_flows_free(r->flows);
  probe_machine_free(m);
}

/* ---- all of them ---- */

/* Both families that can be relayed to, the one that the relay is asked by first. */
static void probe_address(run *r, const fzr_addr *server)
{
  const enum fzr_family own = (enum fzr_family)server->family;
  const enum fzr_family other = own == FZR_FAMILY_IPV4 ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
  probe_one(r, server, own);
  if (!r->fault && !r->alone && !r->unroutable[own] && !r->settings->target.stun_only)
    probe_one(r, server, other);
}

/* Which families work, as "IPv4 and IPv6"; |by| is the way to the relay, and else to peers. */
static const char *families(const run *r, bool by)
{
  bool works[3] = {false};
  for (unsigned i = FZR_FAMILY_IPV4; i <= FZR_FAMILY_IPV6; i++)
    for (unsigned j = FZR_FAMILY_IPV4; j <= FZR_FAMILY_IPV6; j++)
      works[by ? i : j] |= r->worked[i][j];
  return works[FZR_FAMILY_IPV4] && works[FZR_FAMILY_IPV6] ? "IPv4 and IPv6"
         : works[FZR_FAMILY_IPV4]                         ? "IPv4"
         : works[FZR_FAMILY_IPV6]                         ? "IPv6"
                                                          : NULL;
}

static void conclude(run *r)
{
  const char *by = families(r, true), *to = families(r, false);
  if (r->fault)
    return;
  if (!by && r->lacked_any) {
    r->fault = PROBE_REFUSES;
    r->facts.code = 440;
    r->facts.doing = "allocation";
    return;
  }
  if (!by) {
    r->fault = PROBE_NO_ROUTE;
    return;
  }
  const probe_target *t = &r->settings->target;
  const unsigned lost = r->unroutable[FZR_FAMILY_IPV6] ? FZR_FAMILY_IPV6 : FZR_FAMILY_IPV4;
  snprintf(r->facts.text, sizeof r->facts.text, "%.40s over %s by %s%s%s%s%s%s%s%s",
           t->stun_only ? "Binding is answered" : "this relay relays", probe_transport_name(t->transport), by,
           t->stun_only ? "" : ", to ", t->stun_only ? "" : to,
           r->unroutable[lost] ? "; this host has no way to its " : "",
           r->unroutable[lost] ? family_name(lost) : "", r->note[0] ? "; " : "", r->note,
           r->settings->insecure ? "; the certificate was not looked at (--insecure)" : "");
}

static int load_trust(run *r, net_trust **trust)
{
  const probe_settings *s = r->settings;
  char error[NET_TLS_ERROR_MAX];
  if (s->target.transport != PROBE_TLS)
    return 0;
  *trust = s->ca_file ? net_trust_load_file(s->ca_file, error) : net_trust_load(getenv, error);
  if (!*trust)
    fail_of_own(r, error);
  r->tls = (probe_tls_config){s->target.host, s->target.host_is_ip, *trust, s->insecure};
  return *trust ? 0 : -1;
}

/* The addresses, with a row about them. */
static void look_up(run *r)
{
  const fzr_time began = monotonic_now();
  char text[2][FZR_ADDR_TEXT_MAX] = {"", ""}, both[2 * FZR_ADDR_TEXT_MAX + 2], error[PROBE_TEXT_MAX];
  r->addr_count = probe_look_up(&r->settings->target, r->addrs, error);
  for (size_t i = 0; i < r->addr_count; i++)
    fzr_addr_format(&r->addrs[i], false, text[i], sizeof text[i]);
  snprintf(both, sizeof both, "%s%s%s", text[0], *text[1] ? ", " : "", text[1]);
  if (!r->settings->target.host_is_ip)
    put_row(r->out, r->addr_count ? PROBE_OK : PROBE_FAILED, "look-up", r->addr_count ? both : error,
            monotonic_now() - began);
  if (r->addr_count)
    return;
  r->fault = PROBE_NO_NAME;
  snprintf(r->facts.text, sizeof r->facts.text, "%s", error);
}

int probe_run(const probe_settings *settings, FILE *out)
{
  static run r;
  net_trust *trust = NULL;
  r = (run){.settings = settings, .out = out};
  fprintf(out, "%s\n", settings->name);
  if (!load_trust(&r, &trust)) {
    look_up(&r);
    for (size_t i = 0; i < r.addr_count && !r.fault && !r.alone; i++)
      probe_address(&r, &r.addrs[i]);
    conclude(&r);
  }
  net_trust_free(trust);
  return put_result(&r);
}
