/* SPDX-License-Identifier: Apache-2.0 */
#include "options_idle.h"

#include <string.h>

static bool no_ip4(const options *o)
{
  return !o->public_ip4.family;
}

static bool has_ip4(const options *o)
{
  return !no_ip4(o);
}

static bool no_ip6(const options *o)
{
  return !o->public_ip6.family;
}

static bool no_token(const options *o)
{
  return !o->token;
}

static bool secret_file(const options *o)
{
  return o->auth_secret_file != NULL;
}

static bool no_alternate(const options *o)
{
  return !o->alternate_ip4.family && !o->alternate_ip6.family;
}

static bool channels_alone(const options *o)
{
  return o->relay_mode == RELAY_MODE_CHANNELS;
}

static bool second_file(const options *o)
{
  return o->auth_second_secret_file != NULL;
}

static bool no_secrets(const options *o)
{
  return o->auth == AUTH_STATIC;
}

static bool not_stamp(const options *o)
{
  return o->auth != AUTH_STAMP;
}

static bool not_static(const options *o)
{
  return !(o->auth & AUTH_STATIC);
}

static bool other_format(const options *o)
{
  return o->log_format != LOG_FORMAT_GOOGLE_CLOUD;
}

static bool no_streams(const options *o)
{
  return !options_has_streams(o);
}

static bool no_tls(const options *o)
{
  return !o->tls_listen_port;
}

static bool no_xdp(const options *o)
{
  return o->xdp.mode == XDP_MODE_OFF;
}

static bool bound_ip4(const options *o)
{
  return !is_wildcard(&o->bind_ip4);
}

static bool bound_ip6(const options *o)
{
  return !is_wildcard(&o->bind_ip6);
}

static bool no_offloading(const options *o)
{
  return !o->ebpf_interface;
}

static const struct {
  idle_option option;
  bool (*is_idle)(const options *o);
} idle_rules[] = {
    {{"--bind-ip4-addr", "--public-ip4-addr is not set"}, no_ip4},
    {{"--bind-ip6-addr", "--public-ip6-addr is not set"}, no_ip6},
    {{"FIREZONE_NAME", "there is no token"}, no_token},
    {{"--api-url", "there is no token"}, no_token},
    {{"--max-partition-time", "there is no token"}, no_token},
    {{"--heartbeat-interval", "there is no token"}, no_token},
    {{"--auth-secret-file", "--auth static has no secret"}, no_secrets},
    {{"AUTH_SECRET", "--auth static has no secret"}, no_secrets},
    {{"AUTH_SECRET", "--auth-secret-file is set"}, secret_file},
    {{"--auth-second-secret-file", "--auth static has no secret"}, no_secrets},
    {{"AUTH_SECOND_SECRET", "--auth static has no secret"}, no_secrets},
    {{"AUTH_SECOND_SECRET", "--auth-second-secret-file is set"}, second_file},
    {{"--users-file", "--auth has no static"}, not_static},
    {{"user", "--auth has no static"}, not_static},
    {{"--outlive-credentials", "allocations end with the credential with --auth stamp alone"}, not_stamp},
    {{"--alternate-over", "--alternate-server is not set"}, no_alternate},
    {{"--max-permissions-per-allocation", "--relay-mode is channels"}, channels_alone},
    {{"--strict-address-family", "--relay-mode is channels"}, channels_alone},
    {{"--strict-address-family", "--public-ip4-addr is set"}, has_ip4},
    {{"--max-allocations-per-user", "--replace-allocation is not no"}, options_replace},
    {{"--google-cloud-project-id", "--log-format is not google-cloud"}, other_format},
    {{"--max-connections-per-prefix", "neither --tcp-listen-port nor --tls-listen-port is set"}, no_streams},
    {{"--max-connections-without-allocation", "neither --tcp-listen-port nor --tls-listen-port is set"},
     no_streams},
    {{"--max-queue-per-connection", "neither --tcp-listen-port nor --tls-listen-port is set"}, no_streams},
    {{"--proxy-protocol", "neither --tcp-listen-port nor --tls-listen-port is set"}, no_streams},
    {{"--tls-cert", "--tls-listen-port is not set"}, no_tls},
    {{"--tls-key", "--tls-listen-port is not set"}, no_tls},
    {{"--offload-interface", "--offload is off"}, no_xdp},
    {{"--offload-route", "--offload is off"}, no_xdp},
    {{"--flood-guard", "--offload is off"}, no_xdp},
    {{"XDP_INTERFACE", "--offload is off"}, no_xdp},
    {{"XDP_ROUTE", "--offload is off"}, no_xdp},
    {{"--ebpf-attach-mode", "--ebpf-offloading is not set"}, no_offloading},
    {{"--ebpf-int4-addr", "--offload is off"}, no_xdp},
    {{"--ebpf-int6-addr", "--offload is off"}, no_xdp},
    {{"--ebpf-int4-addr", "--public-ip4-addr is not set"}, no_ip4},
    {{"--ebpf-int6-addr", "--public-ip6-addr is not set"}, no_ip6},
    {{"--ebpf-int4-addr", "--bind-ip4-addr is set"}, bound_ip4},
    {{"--ebpf-int6-addr", "--bind-ip6-addr is set"}, bound_ip6},
};

#define IDLE_RULES (sizeof idle_rules / sizeof *idle_rules)
_Static_assert(IDLE_RULES <= MAX_IDLE_OPTIONS, "MAX_IDLE_OPTIONS has to grow");

static bool is_idle_already(const options *o, const char *name)
{
  for (size_t i = 0; i < o->idle_count; i++)
    if (strcmp(o->idle[i].name, name) == 0)
      return true;
  return false;
}

/* One reason for each is enough. Who says --offload off may leave what belongs to it as it was. */
void options_find_idle(const reader *r)
{
  options *o = r->o;
  if (o->command != COMMAND_RELAY)
    return;
  const bool off =
      o->xdp.mode == XDP_MODE_OFF && (option_is_given(r, "--offload") || option_is_given(r, "--xdp"));
  for (size_t i = 0; i < IDLE_RULES; i++) {
    const char *name = idle_rules[i].option.name;
    const bool of_xdp = strncmp(name, "--ebpf", 6) == 0 || strncmp(name, "--offload", 9) == 0 ||
                        strcmp(name, "--flood-guard") == 0 || strncmp(name, "XDP", 3) == 0;
    if (option_is_given(r, name) && !is_idle_already(o, name) && idle_rules[i].is_idle(o) && !(off && of_xdp))
      o->idle[o->idle_count++] = idle_rules[i].option;
  }
}
