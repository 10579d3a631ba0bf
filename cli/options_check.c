/* SPDX-License-Identifier: Apache-2.0 */
/* Whether options go together. What is wrong with one by itself was said when it was set. */
#include "options.h"

#include "options_reader.h"

#include <string.h>

/* What the names of Firezone's relay mean, and whether mode and interfaces go together. */
static int check_xdp(reader *r)
{
  options *o = r->o;
  const bool chosen = option_is_given(r, "--offload") || option_is_given(r, "--xdp");
  if (option_is_given(r, "--offload") && option_is_given(r, "--xdp"))
    return option_complain(r, "--xdp: the older name of --offload, which is set, too: expected one of them");
  if (o->ebpf_interface && !chosen)
    o->xdp.mode = o->ebpf_mode != XDP_MODE_OFF ? o->ebpf_mode : XDP_MODE_AUTO;
  if (o->xdp.mode != XDP_MODE_OFF && !o->xdp.interface_count)
    return option_complain(r,
                           "--offload: no interface is set: expected --offload-interface, too, such as eth0");
  return 0;
}

/* A port without a socket can't go from process to process. */
static int check_one_socket(reader *r)
{
  if (r->o->one_socket && r->o->handover_socket)
    return option_complain(r, "--one-socket: such a relay can't be taken over: expected no --handover-socket "
                              "(the systemd unit sets HANDOVER_SOCKET), or no --one-socket");
  return 0;
}

static int check_take_over(reader *r)
{
  if (r->o->take_over && !r->o->handover_socket)
    return option_complain(
        r, "--take-over: there is no relay to take over from: expected --handover-socket, too");
  return 0;
}

static int check_tls(reader *r)
{
  const options *o = r->o;
  if (o->tls_listen_port && !o->tls_cert)
    return option_complain(r, "--tls-listen-port: there is no certificate: expected --tls-cert, too");
  if (o->tls_listen_port && !o->tls_key)
    return option_complain(r,
                           "--tls-listen-port: there is no key of the certificate: expected --tls-key, too");
  if (o->tls_listen_port && o->tls_listen_port == o->tcp_listen_port)
    return option_complain(
        r, "--tls-listen-port: invalid value '%u': expected another port than --tcp-listen-port",
        o->tls_listen_port);
  return 0;
}

static int check_credentials(reader *r)
{
  const options *o = r->o;
  if (r->has_users_flag && !(o->auth & AUTH_STATIC))
    return option_complain(r, "--users-file: only --auth static has one: expected none");
  char problem[OPTIONS_ERROR_MAX];
  if (options_check_credentials(o, option_is_given(r, "--ttl"), problem))
    return option_complain(r, "%s", problem);
  if (makes_url(o) && !o->listen_port)
    return option_complain(r,
                           "--listen-port: invalid value '0': expected a port from 1 to 65535 for the URL");
  if (makes_url(o) && !o->public_ip4.family && !o->public_ip6.family)
    return option_complain(
        r, "--public-ip4-addr, --public-ip6-addr: none is set: expected the relay's address for the URL");
  if (makes_all_urls(o) && o->tls_listen_port && !o->tls_name)
    return option_complain(r, "--tls-listen-port: there is no name for the turns: URL: expected --tls-name, "
                              "too, with a name that the relay's certificate has");
  if (makes_all_urls(o) && o->tls_name && !o->tls_listen_port)
    return option_complain(r, "--tls-name: there is no port for the URL: expected --tls-listen-port, too");
  return 0;
}

/* Whether |alternate| is another server than this one, whose address is |own|. */
static bool is_elsewhere(const options *o, const fzr_addr *alternate, const fzr_addr *own)
{
  return !alternate->family || alternate->port != o->listen_port ||
         memcmp(alternate->ip, own->ip, sizeof own->ip) != 0;
}

static int check_alternate(reader *r)
{
  const options *o = r->o;
  if (o->token && (o->alternate_ip4.family || o->alternate_ip6.family))
    return option_complain(
        r, "--alternate-server: not with a portal, by which clients know their relays: expected "
           "neither or no token");
  if (!is_elsewhere(o, &o->alternate_ip4, &o->public_ip4) ||
      !is_elsewhere(o, &o->alternate_ip6, &o->public_ip6))
    return option_complain(
        r, "--alternate-server: it is this relay's own address and port: expected another server's");
  return 0;
}

static int check_addresses(reader *r)
{
  const options *o = r->o;
  if (!o->public_ip4.family && !o->public_ip6.family)
    return option_complain(
        r, "--public-ip4-addr, --public-ip6-addr: none is set: expected at least one of them");
  if (o->token && !o->listen_port)
    return option_complain(
        r, "--listen-port: invalid value '0': expected a port from 1 to 65535, as the portal is told it");
  if (o->lowest_port > o->highest_port)
    return option_complain(r,
                           "--lowest-port: invalid value '%u': expected at most --highest-port, which is %u",
                           o->lowest_port, o->highest_port);
  if (o->listen_port >= o->lowest_port && o->listen_port <= o->highest_port)
    return option_complain(
        r,
        "--listen-port: invalid value '%u': expected a port outside of %u to %u, the range for allocations",
        o->listen_port, o->lowest_port, o->highest_port);
  return 0;
}

static int check_auth(reader *r)
{
  char problem[OPTIONS_ERROR_MAX];
  return options_check_auth(r->o, problem) ? option_complain(r, "%s", problem) : 0;
}

/* All of them: a file is mended in one go. */
static int check_relay(reader *r)
{
  static int (*const each[])(reader * r) = {check_addresses, check_auth, check_alternate, check_tls,
                                            check_take_over, check_xdp,  check_one_socket};
  int result = 0;
  for (size_t i = 0; i < sizeof each / sizeof *each; i++)
    if (each[i](r))
      result = -1;
  return result;
}

static int check_import(reader *r)
{
  return r->o->import_file ? 0 : option_complain(r, "FILE: none is named: expected coturn's turnserver.conf");
}

static int check_probe(reader *r)
{
  char problem[OPTIONS_ERROR_MAX];
  return options_check_probe(r->o, problem) ? option_complain(r, "%s", problem) : 0;
}

static int check_sessions(reader *r)
{
  const options *o = r->o;
  const bool chooses = o->user || o->client || o->json;
  if (o->end_id && o->end_user)
    return option_complain(r, "--end, --end-user: one or the other: expected one of them");
  if ((o->end_id || o->end_user) && chooses)
    return option_complain(
        r, "--end, --end-user: nothing is listed: expected neither --user, --client nor --json");
  return 0;
}

/* Whether the options of each command go together. */
static int (*const checks[COMMANDS])(reader *r) = {
    [COMMAND_RELAY] = check_relay,          [COMMAND_CREDENTIALS] = check_credentials,
    [COMMAND_IMPORT_COTURN] = check_import, [COMMAND_PROBE] = check_probe,
    [COMMAND_SESSIONS] = check_sessions,
};

void options_check(reader *r)
{
  if (checks[r->o->command])
    checks[r->o->command](r);
}
