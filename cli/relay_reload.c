/* SPDX-License-Identifier: Apache-2.0 */
/* What is read anew while the relay runs: by SIGHUP, and the certificate when its files change. */
#include "log/log.h"
#include "relay_internal.h"

void relay_follow_filter(void *ctx)
{
  const relay *r = ctx;
  if (r->workers)
    workers_follow_log_filter(r->workers);
}

void relay_log_notes(const notes *n)
{
  for (size_t i = 0; i < n->count; i++)
    log_warn("relay", "%s", n->lines[i]);
  if (n->more)
    log_warn("relay", "%zu more such lines are left out", n->more);
}

/* |why| begins the line. Connections that there are go on with the certificate that they have. */
static void reload_certificate(relay *r, const options *o, const char *why)
{
  char error[OPTIONS_ERROR_MAX];
  if (certificates_reread(r->certificates, o, error) ||
      (r->workers && workers_set_certificate(r->workers, r->certificates, error))) {
    log_error("relay", "%s: %s; the certificate that there was stays", why, error);
    return;
  }
  log_info("relay", "%s: the certificate is read anew", why);
  certificates_log(r->certificates);
}

void relay_on_certificate(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  relay *r = ctx;
  if (certificates_changed(r->certificates))
    reload_certificate(r, NULL, "Files have changed");
}

void relay_log_second(const logins *l)
{
  if (l->second_is_empty)
    log_info("relay", "--auth-second-secret-file is empty or absent: there is no second secret");
}

static void reload_logins(relay *r, const options *o)
{
  static notes found;
  char error[OPTIONS_ERROR_MAX];
  logins *next;
  found = (notes){0};
  if (logins_read(o, r->logins, &next, &found, error)) {
    log_error("relay", "SIGHUP: %s; the secrets and users that there were stay", error);
    return;
  }
  relay_log_second(next);
  relay_log_notes(&found);
  if (r->workers)
    workers_set_logins(r->workers, next); /* the last of them says so */
  else
    logins_log(next, r->o->auth);
  logins_drop(r->logins);
  r->logins = next;
}

static void reload_rules(relay *r, const options *o)
{
  if (r->workers)
    workers_set_rules(r->workers, o->rules, o->rule_count);
  log_info("relay", "SIGHUP: there %s %zu peer rule%s now", o->rule_count == 1 ? "is" : "are", o->rule_count,
           o->rule_count == 1 ? "" : "s");
}

/* SIGHUP: what is in the files may have changed. Allocations live on; what is wrong changes nothing. */
void relay_on_reload(evutil_socket_t fd, short what, void *ctx)
{
  (void)fd;
  (void)what;
  relay *r = ctx;
  reload_result changed = {0};
  if (reload_options(&r->reread, r->o, &changed))
    return;
  const options *o = reload_latest(&r->reread, r->o);
  if (changed.rules)
    reload_rules(r, o);
  if (changed.log_filter)
    relay_follow_filter(r);
  if (r->certificates)
    reload_certificate(r, o, "SIGHUP");
  if (logins_have_files(o))
    reload_logins(r, o);
  else if (!r->certificates)
    log_info("relay", "SIGHUP: there is no file with secrets or users to read anew");
}

/* A SIGHUP may have come while the portal was awaited. Secrets and the certificate were exchanged then, and the log has its filter. */
void relay_follow_reload(relay *r)
{
  const options *o = reload_latest(&r->reread, r->o);
  if (o != r->o)
    workers_set_rules(r->workers, o->rules, o->rule_count);
}
