/* SPDX-License-Identifier: Apache-2.0 */
/* The command line and environment of firezone-relay: every option once, in one table. Nothing here has side effects. */
#ifndef RELAY_OPTIONS_H
#define RELAY_OPTIONS_H

#include "firezone_relay/firezone_relay.h"
#include "http/local.h"
#include "portal/session.h"
#include "probe/target.h"
#include "xdp/xdp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit status of a mistake in the configuration. */
#define EXIT_USAGE 2

#define OPTIONS_ERROR_MAX 512
#define MAX_PEER_RULES    256
#define MAX_PROXIES       64
#define HANDOVER_PATH_MAX 90
#define MAX_IDLE_OPTIONS  40
#define USERNAME_MAX      508 /* bytes: a request can carry no more */
#define SALT_MAX          497 /* likewise: what is left of that behind ten digits and a colon */

/* What the program is to do: the relay, or a sub-command, which the first word says. */
enum sub_command {
  COMMAND_RELAY,
  COMMAND_CREDENTIALS,
  COMMAND_IMPORT_COTURN,
  COMMAND_PROBE,
  COMMAND_SESSIONS,
  COMMANDS
};

/* How clients log in: a bit each. */
enum auth_schemes { AUTH_STAMP = 1, AUTH_REST = 2, AUTH_STATIC = 4 };

/* How clients reach peers: as was asked for, until options_read has found out which. */
enum relay_mode { RELAY_MODE_DEFAULT, RELAY_MODE_CHANNELS, RELAY_MODE_FULL };

/* Whether a user's new allocation ends the older one: as was asked for, see options_replace. */
enum replace { REPLACE_DEFAULT, REPLACE_YES, REPLACE_NO };

enum log_format { LOG_FORMAT_HUMAN, LOG_FORMAT_JSON, LOG_FORMAT_JSON_FLAT, LOG_FORMAT_GOOGLE_CLOUD };

/* An option that was set and has no effect, and why: worth a warning. */
typedef struct idle_option {
  const char *name; /* with its dashes, or a variable */
  const char *because;
} idle_option;

/* The text of a file, with a zero behind it. */
typedef struct options_text {
  char *data; /* by malloc; NULL: none */
  size_t len;
  bool is_public; /* everybody on this host can read the file */
} options_text;

/* Where options come from beside the command line. */
typedef struct options_sources {
  const char *(*env)(const char *name); /* getenv, or a test's */
  /* Reads all of the file |path|; |anew|: while the relay runs. Returns 0, or -1 with what is wrong in *|what|. NULL: there are no
   * files. */
  int (*file)(const char *path, bool anew, options_text *out, const char **what);
  void (*tell)(
      const char *error); /* gets every mistake, a line each; NULL: nobody asks for more than the first */
} options_sources;

/* What was read out of the file of --config. */
typedef struct options_config {
  const char *path; /* NULL: there is none */
  options_text text;
  unsigned line;   /* that is being read */
  bool has_secret; /* one is written in it */
  char *users;     /* those that are written in it, each in the line that he has there; NULL: none */
  size_t users_len;
  unsigned users_line; /* of |users| that comes next */
} options_config;

#define OPTIONS_MOST 96 /* rows of the table */

/* Everything that can be set. Strings are the caller's, of argv or the environment, or of |config|. */
typedef struct options {
  fzr_addr public_ip4, public_ip6;
  fzr_addr bind_ip4, bind_ip6;
  bool any_ip4, any_ip6; /* the wildcard was asked for: relay from whichever address the routes choose */
  uint16_t listen_port, lowest_port, highest_port;
  uint16_t tcp_listen_port; /* 0: none */
  uint16_t tls_listen_port; /* likewise */
  const char *tls_cert, *tls_key;
  unsigned tls_lines[2];              /* of these two in the file of --config; 0: they stand elsewhere */
  fzr_peer_rule proxies[MAX_PROXIES]; /* networks whose connections begin with a PROXY header */
  size_t proxy_count;
  const char *token;
  bool token_from_argument;
  const char *token_oddity; /* what looks wrong about it; NULL: nothing */
  const char *name;
  const char *api_url;
  portal_timing portal_timing; /* hidden, for tests */
  unsigned auth;               /* AUTH_…: stamp alone, or any of the others */
  const char *realm;
  bool realm_given;
  const char *auth_secret_file;
  const char *auth_secret; /* from AUTH_SECRET */
  const char *auth_second_secret_file;
  const char *auth_second_secret; /* from AUTH_SECOND_SECRET */
  const char *users_file;
  enum relay_mode relay_mode;
  bool relay_mode_given;
  bool strict_families;
  bool outlive_credentials;
  bool has_seed;
  uint64_t rng_seed;
  unsigned workers; /* 0: as many as CPUs may be used */
  bool pin_workers;
  bool one_socket;
  enum log_format log_format;
  const char *google_cloud_project;
  const char *otlp_endpoint;
  fzr_addr health_check_addr;
  fzr_addr control_endpoint;                     /* family NONE: none */
  const char *control_socket;                    /* likewise NULL */
  char runtime_control[HTTP_LOCAL_PATH_MAX + 1]; /* where it is if that is not said */
  const char *control_group;                     /* that may open it, too; NULL: none */
  bool usage_log;
  bool no_telemetry, telemetry;
  fzr_peer_rule rules[MAX_PEER_RULES];
  size_t rule_count;
  enum replace replace;
  bool mobility;
  uint32_t max_allocations_per_user;
  uint32_t max_channels_per_allocation;
  uint32_t max_channels; /* 0: as memory allows, see memory_channels */
  uint32_t max_permissions_per_allocation;
  fzr_addr alternate_ip4, alternate_ip6; /* family NONE: none */
  uint32_t alternate_over;
  uint64_t max_bandwidth_per_allocation;
  uint32_t unauthenticated_rate;
  uint32_t max_connections_per_prefix; /* 0: no limit */
  uint32_t max_strangers;              /* connections without an allocation; 0: as descriptors allow */
  uint32_t max_queue_per_connection;   /* bytes */
  uint64_t connection_idle_seconds;    /* hidden, for tests */
  uint64_t max_partition_seconds;
  uint64_t heartbeat_seconds;
  const char *handover_socket; /* NULL: none */
  bool take_over;              /* in the background */
  uint64_t shutdown_seconds;   /* UINT64_MAX: no limit */
  uint64_t drain_idle_seconds; /* hidden, for tests: a shutdown ends when nothing was relayed for so long */
  xdp_settings xdp;
  const char *ebpf_interface;       /* from --ebpf-offloading */
  enum xdp_mode ebpf_mode;          /* from --ebpf-attach-mode; XDP_MODE_OFF: not set */
  char listed[MAX_PEER_RULES * 48]; /* the values of variables that hold several */
  size_t listed_len;
  bool disable_gso;     /* hidden, for tests */
  uint32_t send_buffer; /* hidden, for tests: SO_SNDBUF in bytes */
  idle_option idle[MAX_IDLE_OPTIONS];
  size_t idle_count;
  bool show_help;
  bool show_version;
  bool check_config;
  const char *log_filter; /* from --log-filter, or from the file if no variable has one; NULL: not set */
  enum sub_command command;
  options_config config;
  uint64_t digests
      [OPTIONS_MOST]; /* of the values of each row of the table, so that two readings can be compared */
  int argc;           /* what all this was read out of */
  char **argv;
  const options_sources *sources;
  const char *import_file; /* of COMMAND_IMPORT_COTURN */
  /* of COMMAND_CREDENTIALS */
  uint64_t ttl_seconds;
  const char *salt;
  const char *user;
  const char *credentials_format;
  const char *tls_name; /* in the relay's certificate; NULL: none */
  /* of COMMAND_PROBE */
  const char *probe_url; /* as it was given */
  probe_target probe_target;
  const char *username; /* NULL: credentials are made, or are those of |user| */
  const char *password_file;
  const char *password; /* from PROBE_PASSWORD */
  const char *ca_file;
  bool insecure;
  /* of COMMAND_SESSIONS, and |user| */
  const char *client;
  const char *end_id, *end_user; /* NULL: none is to be ended */
  bool json;
} options;

/* Reads |argv|; what is not there, out of the environment; and what is in neither, out of the file that is named by them. On success |out|
 * is complete and checked. |argv| and |sources| have to stay. Returns 0, or -1 with one line in |error|, the first of all, that names the
 * option, the value and what would be right. options_forget is due in both cases. */
int options_read(int argc, char **argv, const options_sources *sources, options *out,
                 char error[OPTIONS_ERROR_MAX]);

/* The same once more, for a relay that runs with |now|: the file may have changed. */
int options_reread(const options *now, options *out, char error[OPTIONS_ERROR_MAX]);

/* Writes the names of options that |a| and |b| differ in and that can't change while the relay runs, with commas between them, as many as
 * fit. Returns whether there are any. */
bool options_fixed_that_differ(const options *a, const options *b, char *out, size_t cap);

/* Wipes and frees what was read from a file. */
void options_forget(options *o);

/* Whether |value| will do for the option |name| of a configuration file, by itself, other than users: NULL, or what would be right. By one
 * thread at a time. */
const char *options_value_expected(const char *name, const char *value);

/* Writes the names of the schemes that hold, as --auth has them. */
void options_schemes(const options *o, char *out, size_t cap);

/* Whether a user's new allocation ends the older one. */
bool options_replace(const options *o);

/* Whether clients may come over TCP or TLS. */
bool options_has_streams(const options *o);

/* Whether |rule|, of --proxy-protocol, is wider than what one operator has. */
bool options_proxy_is_wide(const fzr_peer_rule *rule);

/* Writes the help text of |command| into |out|, at most |cap| bytes. Returns its whole length, as snprintf does. */
size_t options_help(enum sub_command command, char *out, size_t cap);

/* Reads "30", "30s", "15m", "24h", "7d" into seconds. Returns whether it is one. */
bool parse_duration(const char *text, uint64_t *seconds);

/* Replaces what is no character to show, so that an error with any value in it is one line, and does nothing to a terminal. */
void make_one_line(char *text);

/* Whether sockets that are bound to |addr| have all addresses of its family. */
bool is_wildcard(const fzr_addr *addr);

#endif
