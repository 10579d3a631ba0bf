/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the probe. */
#include "options_internal.h"

#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

const char *option_set_probe_url(options *o, const char *t)
{
  o->probe_url = t;
  return probe_target_parse(t, &o->probe_target);
}

const char *option_set_username(options *o, const char *t)
{
  const size_t len = strlen(t);
  const bool fits = len > 0 && len <= USERNAME_MAX && utf8_is_valid(t, len);
  return fits ? value_text(&o->username, t) : "1 to 508 bytes of UTF-8";
}

const char *option_set_password_file(options *o, const char *t)
{
  return *t ? value_text(&o->password_file, t) : "a file with a password";
}

const char *option_set_password(options *o, const char *t)
{
  return value_text(&o->password, t);
}

const char *option_set_ca_file(options *o, const char *t)
{
  return *t ? value_text(&o->ca_file, t) : "a file with certificates in PEM";
}

const char *option_set_insecure(options *o, const char *t)
{
  return value_flag(&o->insecure, t);
}

static const char *problem_of_login(const options *o)
{
  const bool has_secret = o->auth_secret_file || o->auth_secret, has_users = o->users_file || o->config.users;
  const bool is_made = o->auth & (AUTH_STAMP | AUTH_REST) && has_secret;
  const bool is_of_file = o->auth & AUTH_STATIC && has_users && o->user;
  if (o->username && !o->password_file && !o->password)
    return "--password-file, PROBE_PASSWORD: none is set: expected the password of --username";
  /* The variable may be there for another run. */
  if (!o->username && (o->password_file || (o->password && !is_made && !is_of_file)))
    return "--username: none is set: expected the user whose password there is";
  if (o->username || is_made || is_of_file)
    return NULL;
  if (!(o->auth & AUTH_STATIC))
    return "--auth-secret-file, AUTH_SECRET, --username: none is set: expected what to log in with "
           "(stun:HOST:PORT needs nothing)";
  return !has_users ? "--users-file: none is set: expected one with --auth static"
         : !o->user ? "--user: none is set: expected the name of a user in --users-file"
                    : NULL;
}

int options_check_probe(const options *o, char error[OPTIONS_ERROR_MAX])
{
  const char *problem = NULL;
  if (!o->probe_url)
    problem = "URL: none is named: expected a relay such as turn:relay.example:3478";
  else if (o->insecure && o->ca_file)
    problem = "--insecure: not with --ca-file: expected one of them";
  else if ((o->insecure || o->ca_file) && o->probe_target.transport != PROBE_TLS)
    problem = "--ca-file, --insecure: there is no TLS: expected a URL that begins with turns: or stuns:";
  else if (!o->probe_target.stun_only)
    problem = problem_of_login(o);
  if (problem)
    snprintf(error, OPTIONS_ERROR_MAX, "%s", problem);
  return problem ? -1 : 0;
}
