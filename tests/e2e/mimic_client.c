/* SPDX-License-Identifier: Apache-2.0 */
/* A mimic of a real client on sockets, with two peers that send everything back, against a relay on this host.
 *
 * Arguments: kind, host and port of the relay, username, password, milliseconds between two rounds of data. Commands come on stdin, one a
 * line:
 *   login USERNAME PASSWORD   other credentials, from now on
 *   begin                     forgets everything and begins, as when the portal tells of another relay
 *   relay PORT                where the relay is from now on
 *   flip                      the NAT gives the other of two ports
 *   refresh                   it refreshes now
 *   report                    what was sent and what came, since the last report: JSON
 *   anew                      what has been sent until now is in no report: something was to be lost of it
 *   quit
 * What happens is told on stdout: "ready", "needs credentials", "ended: ..." */
#include "mimic.h"

#include "firezone_relay/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS    2u
#define NUMBERS  (1u << 25) /* of each channel: a hundred times what 70 minutes take */
#define UNDERWAY (500 * FZR_MILLISECOND)
/* What a peer sends back before others are looked after: what comes meanwhile waits in a socket's buffer, which has an end. */
#define ECHOES 32u

static mimic client;
static int ports[PORTS], peers[MIMIC_CHANNELS];
static unsigned at;
static struct sockaddr_storage relay;
static socklen_t relay_len;
static uint8_t *arrived; /* a bit for each datagram of each channel */
static uint32_t number, reported;
static uint32_t newest[MIMIC_CHANNELS]; /* after all that came */
static fzr_time next_round, every, last_data, longest_gap;
static unsigned allocations; /* that were told of */
static bool needed, over;
static unsigned errors_before;

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

static fzr_time now_of(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (fzr_time)t.tv_sec * FZR_SECOND + (fzr_time)t.tv_nsec;
}

static void to_relay(void *ctx, const uint8_t *data, size_t len)
{
  (void)ctx;
  /* What the socket's buffer has no room for is lost, and shows in the report. */
  if (sendto(ports[at], data, len, 0, (struct sockaddr *)&relay, relay_len) < 0)
    return;
}

static struct sockaddr_storage address(const char *host, const char *port, socklen_t *len)
{
  struct sockaddr_storage out;
  memset(&out, 0, sizeof out);
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out;
  struct sockaddr_in *four = (struct sockaddr_in *)&out;
  const uint16_t number_of = htons((uint16_t)strtoul(port, NULL, 10));
  if (strchr(host, ':')) {
    six->sin6_family = AF_INET6;
    six->sin6_port = number_of;
    *len = sizeof *six;
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1)
      return out;
  } else {
    four->sin_family = AF_INET;
    four->sin_port = number_of;
    *len = sizeof *four;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1)
      return out;
  }
  fprintf(stderr, "no address: %s\n", host);
  exit(2);
}

static int open_at(const char *host)
{
  socklen_t len;
  const int room = 1 << 20;
  const struct sockaddr_storage a = address(host, "0", &len);
  const int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&a, len))
    fail("a socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  return fd;
}

static void add_peer(unsigned i, const char *host)
{
  fzr_sockaddr name;
  socklen_t len = sizeof name;
  peers[i] = open_at(host);
  if (getsockname(peers[i], &name.any, &len) ||
      fzr_addr_from_sockaddr(&name.any, len, &client.channels[i].peer))
    fail("a peer's address");
}

static void echo(int peer)
{
  uint8_t data[2048];
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  ssize_t n;
  for (unsigned i = 0; i < ECHOES; i++) {
    n = recvfrom(peer, data, sizeof data, 0, (struct sockaddr *)&from, &len);
    if (n < 0)
      return;
    if (sendto(peer, data, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
      return;
    len = sizeof from;
  }
}

static void set(uint8_t *bits, uint64_t i)
{
  bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static bool has(const uint8_t *bits, uint64_t i)
{
  return bits[i / 8] >> i % 8 & 1;
}

static void take_data(unsigned channel, const uint8_t *payload, uint16_t len, fzr_time now)
{
  uint32_t n;
  if (len != sizeof n)
    return;
  memcpy(&n, payload, sizeof n);
  if (n >= number)
    return;
  set(arrived, (uint64_t)n * MIMIC_CHANNELS + channel);
  newest[channel] = n >= newest[channel] ? n + 1 : newest[channel];
  if (last_data && now - last_data > longest_gap)
    longest_gap = now - last_data;
  last_data = now;
}

static void receive(int fd, bool current)
{
  uint8_t data[2048];
  const uint8_t *payload;
  uint16_t len;
  unsigned channel;
  ssize_t n;
  while ((n = recv(fd, data, sizeof data, 0)) >= 0) {
    const fzr_time now = now_of();
    if (current && mimic_receive(&client, data, (size_t)n, now, &channel, &payload, &len))
      take_data(channel, payload, len, now);
  }
}

static void talk(fzr_time now)
{
  if (!mimic_ready(&client) && client.state != MIMIC_NEEDS_CREDENTIALS) {
    next_round = now + every;
    return;
  }
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    mimic_talk(&client, i, (const uint8_t *)&number, sizeof number);
  number++;
  next_round = next_round + every > now ? next_round + every : now + every;
  if (number == NUMBERS)
    exit(0);
}

/* Of all rounds since the last report. The half second before the newest that came is left for the next one, and what is after that:
 * a relay may stand still, and lose nothing. */
static void report(void)
{
  const uint32_t young = (uint32_t)(UNDERWAY / every) + 1;
  uint32_t end = number; /* channels overtake each other */
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    end = newest[i] < end ? newest[i] : end;
  end = end > young ? end - young : 0;
  unsigned answers = 0, lost = 0, errors = 0;
  for (; reported < end; reported++)
    for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
      if (has(arrived, (uint64_t)reported * MIMIC_CHANNELS + i))
        answers++;
      else
        lost++;
  for (unsigned code = 1; code < 700; code++)
    errors += client.codes[code];
  printf("{\"arrived\": %u, \"lost\": %u, \"longest_gap_ms\": %.1f, \"allocations\": %u, \"resets\": %u, "
         "\"requests\": %u, \"ignored\": %u, \"errors\": %u, \"codes\": {",
         answers, lost, (double)longest_gap / 1e6, client.allocations, client.resets, client.requests,
         client.ignored, errors - errors_before);
  errors_before = errors;
  longest_gap = 0;
  const char *comma = "";
  for (unsigned code = 0; code < 700; code++) {
    if (!client.codes[code])
      continue;
    printf("%s\"%u\": %u", comma, code, client.codes[code]);
    comma = ", ";
  }
  printf("}}\n");
}

static void obey(char *line)
{
  const fzr_time now = now_of();
  const char *word = strtok(line, " \n"), *first = strtok(NULL, " \n"), *second = strtok(NULL, " \n");
  if (!word)
    return;
  if (strcmp(word, "login") == 0 && second)
    mimic_login(&client, first, second, now);
  else if (strcmp(word, "begin") == 0)
    mimic_begin(&client, now);
  else if (strcmp(word, "relay") == 0 && first && relay.ss_family == AF_INET)
    ((struct sockaddr_in *)&relay)->sin_port = htons((uint16_t)strtoul(first, NULL, 10));
  else if (strcmp(word, "flip") == 0)
    at = 1 - at;
  else if (strcmp(word, "refresh") == 0)
    mimic_refresh(&client, now);
  else if (strcmp(word, "report") == 0)
    report();
  else if (strcmp(word, "anew") == 0)
    reported = number;
  else if (strcmp(word, "quit") == 0)
    over = true;
  else
    exit(2);
}

/* Reads what there is of commands. */
static void read_commands(void)
{
  static char text[4096];
  static size_t have;
  const ssize_t n = read(STDIN_FILENO, text + have, sizeof text - 1 - have);
  if (n <= 0) {
    over = true;
    return;
  }
  have += (size_t)n;
  text[have] = 0;
  char *begin = text, *end;
  while ((end = strchr(begin, '\n'))) {
    *end = 0;
    obey(begin);
    begin = end + 1;
  }
  have = strlen(begin);
  memmove(text, begin, have + 1);
}

static void tell(void)
{
  const bool needs = client.state == MIMIC_NEEDS_CREDENTIALS;
  if (mimic_ready(&client) && allocations != client.allocations) {
    allocations = client.allocations;
    printf("ready\n");
  }
  if (needs && !needed)
    printf("needs credentials\n");
  if (client.state == MIMIC_ENDED && client.why) {
    printf("ended: %s\n", client.why);
    client.why = NULL;
  }
  needed = needs;
}

static int time_left(void)
{
  const fzr_time now = now_of(), deadline = mimic_deadline(&client);
  const fzr_time first = deadline < next_round ? deadline : next_round;
  return first <= now ? 0 : (int)((first - now) / FZR_MILLISECOND) + 1;
}

static void turn(void)
{
  struct pollfd fds[1 + PORTS + MIMIC_CHANNELS] = {{.fd = STDIN_FILENO, .events = POLLIN}};
  for (unsigned i = 0; i < PORTS; i++)
    fds[1 + i] = (struct pollfd){.fd = ports[i], .events = POLLIN};
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    fds[1 + PORTS + i] = (struct pollfd){.fd = peers[i], .events = POLLIN};
  if (poll(fds, sizeof fds / sizeof *fds, time_left()) < 0)
    fail("poll");
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    echo(peers[i]);
  for (unsigned i = 0; i < PORTS; i++)
    receive(ports[i], i == at);
  if (fds[0].revents)
    read_commands();
  const fzr_time now = now_of();
  if (now >= mimic_deadline(&client))
    mimic_tick(&client, now);
  if (now >= next_round)
    talk(now);
  tell();
}

int main(int argc, char **argv)
{
  const enum mimic_kind kind = argc == 7 ? mimic_kind_of(argv[1]) : MIMIC_KINDS;
  if (kind == MIMIC_KINDS) {
    fprintf(stderr, "usage: mimic_client KIND HOST PORT USERNAME PASSWORD INTERVAL_MS\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  relay = address(argv[2], argv[3], &relay_len);
  every = strtoul(argv[6], NULL, 10) * FZR_MILLISECOND;
  arrived = calloc(NUMBERS / 8, MIMIC_CHANNELS);
  if (!arrived || !every)
    fail("arguments");
  mimic_init(&client, kind, now_of(), to_relay, NULL);
  for (unsigned i = 0; i < PORTS; i++)
    ports[i] = open_at(relay.ss_family == AF_INET ? "127.0.0.1" : "::1");
  for (unsigned i = 0; i < MIMIC_CHANNELS; i++)
    add_peer(i, "127.0.0.1");
  mimic_login(&client, argv[4], argv[5], now_of());
  mimic_begin(&client, now_of());
  next_round = now_of();
  while (!over)
    turn();
  report();
  return 0;
}
