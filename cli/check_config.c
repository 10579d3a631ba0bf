/* SPDX-License-Identifier: Apache-2.0 */
#include "check_config.h"

#include "certificates.h"
#include "logins.h"
#include "relay.h"

#include <stdio.h>

static void tell(const char *error)
{
  fprintf(stderr, "firezone-relay: %s\n", error);
}

static unsigned complain(const char *error)
{
  tell(error);
  return 1;
}

/* Those with a secret, and those with users: each is told of by itself. */
static unsigned check_logins(const options *o, unsigned schemes)
{
  static options part;
  static notes found;
  char error[OPTIONS_ERROR_MAX];
  logins *l = NULL;
  part = *o;
  part.auth &= schemes;
  if (!part.auth)
    return 0;
  /* What is to be said of the whole file is said once. */
  part.config.has_secret &= part.auth == o->auth || schemes != AUTH_STATIC;
  found = (notes){.mistake = tell};
  const int status = logins_read(&part, NULL, &l, &found, error);
  relay_log_notes(&found);
  logins_drop(l);
  return status ? complain(error) : 0;
}

unsigned check_config_files(const options *o)
{
  char error[OPTIONS_ERROR_MAX];
  unsigned mistakes = check_logins(o, AUTH_STAMP | AUTH_REST) + check_logins(o, AUTH_STATIC);
  if (o->tls_listen_port && o->tls_cert && o->tls_key) {
    certificates *c = certificates_new(o, error);
    mistakes += c ? 0 : complain(error);
    if (c)
      certificates_log(c);
    certificates_free(c);
  }
  return mistakes;
}
