/* SPDX-License-Identifier: Apache-2.0 */
#include "options_internal.h"

#include <string.h>

/* Options that coturn has, without dashes, and what is here in their place: docs/from-coturn.md has all of them. */
static const struct {
  const char *name, *here;
} of_coturn[] = {
    {"listening-port", "--listen-port"},
    {"listening-ip", "--bind-ip4-addr, --bind-ip6-addr"},
    {"relay-ip", "--bind-ip4-addr, --bind-ip6-addr"},
    {"external-ip", "--public-ip4-addr, --public-ip6-addr"},
    {"min-port", "--lowest-port"},
    {"max-port", "--highest-port"},
    {"relay-threads", "--workers"},
    {"lt-cred-mech", "--auth static"},
    {"user", "--users-file"},
    {"use-auth-secret", "--auth rest"},
    {"static-auth-secret", "--auth-secret-file or AUTH_SECRET"},
    {"user-quota", "--max-allocations-per-user"},
    {"max-bps", "--max-bandwidth-per-allocation"},
    {"allowed-peer-ip", "--allow-peer"},
    {"denied-peer-ip", "--deny-peer"},
    {"prometheus", "--health-check-addr"},
    {"tls-listening-port", "--tls-listen-port"},
    {"cert", "--tls-cert"},
    {"pkey", "--tls-key"},
    {"tcp-proxy-port", "--proxy-protocol, which names the load balancers; the ports stay as they are"},
    {"userdb", "--users-file"},
    {"no-tcp", "no option: TCP is off without --tcp-listen-port"},
    {"no-tls", "no option: TLS is off without --tls-listen-port"},
    {"no-dtls", "no option: there is no DTLS"},
    {"no-auth", "none: clients always log in"},
    {"no-cli", "no option: there is no command line to log in to"},
    {"cli-password", "no option: there is no command line to log in to"},
    {"fingerprint", "no option: answers have what the request had"},
    {"verbose", "RUST_LOG=debug"},
    {"log-file", "no option: the log is standard output"},
    {"simple-log", "no option: the log is standard output"},
};

const char *option_of_coturn(const char *text, size_t len)
{
  for (size_t i = 0; i < sizeof of_coturn / sizeof *of_coturn; i++)
    if (strlen(of_coturn[i].name) == len && strncmp(of_coturn[i].name, text, len) == 0)
      return of_coturn[i].here;
  return NULL;
}
