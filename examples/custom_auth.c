/* SPDX-License-Identifier: Apache-2.0 */
/* An engine that asks the application for credentials, driven by hand without any sockets: a client's first request comes in as
 * bytes, the answers go out as bytes. Shows what a scheme of one's own has to do.
 *
 *   cc custom_auth.c $(pkg-config --cflags --libs libfzrelay) -o custom_auth
 *   ./custom_auth
 */
#include <firezone_relay/firezone_relay.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Here a user's password is his name backwards; yours comes from a table that is in memory: this must not block. */
static enum fzr_auth_result look_up(void *ctx, const fzr_auth_request *request, fzr_auth_key *out)
{
  const size_t len = request->username_len;
  char password[64];
  (void)ctx;
  if (len == 0 || len >= sizeof password)
    return FZR_AUTH_UNKNOWN;
  for (size_t i = 0; i < len; i++)
    password[i] = (char)request->username[len - 1 - i];
  password[len] = 0;
  out->algorithm = request->algorithm;
  out->key_len = (uint8_t)fzr_auth_long_term_key((enum fzr_password_algorithm)request->algorithm,
                                                 request->username, len, request->realm, password, out->key);
  out->expires = FZR_NO_EXPIRY;
  return FZR_AUTH_OK;
}

/* Enough for an example that talks to nobody; a relay takes getrandom(2). */
static int not_random(void *ctx, uint8_t *out, size_t len)
{
  unsigned *state = (unsigned *)ctx;
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)((*state = *state * 1103515245u + 12345u) >> 16);
  return 0;
}

/* Puts one request in and reads the answer. Returns the error code, 0 for success, -1 without an answer. */
static int ask(fzr_engine *engine, fzr_stun_builder *b, fzr_stun_msg *answer)
{
  static fzr_transmit transmit;
  fzr_verdict verdict;
  fzr_event event;
  fzr_pkt pkt;
  fzr_batch batch = {&pkt, 1, &verdict, 1, 0, 0};
  memset(&pkt, 0, sizeof pkt);
  pkt.data = b->data;
  pkt.len = (uint32_t)fzr_stun_build_finish(b);
  fzr_addr_parse("192.0.2.77:4000", &pkt.from);
  fzr_addr_parse("192.0.2.1:3478", &pkt.to);
  fzr_engine_rx(engine, FZR_SIDE_CLIENT, &batch, FZR_SECOND);
  while (fzr_engine_next_event(engine, &event))
    if (event.type == FZR_EVENT_PORT_OPEN) /* a real host opens a socket here */
      fzr_engine_port_result(engine, event.port, (enum fzr_family)event.family, 0, NULL, FZR_SECOND);
  if (!fzr_engine_next_transmit(engine, &transmit) || fzr_stun_read(transmit.data, transmit.len, answer))
    return -1;
  return (int)fzr_stun_error_code(answer);
}

int main(void)
{
  uint8_t buffer[512], key[FZR_STUN_KEY_LEN];
  const uint8_t txid[FZR_STUN_TXID_LEN] = "transaction";
  unsigned seed = 1;
  fzr_engine *engine;
  fzr_stun_builder b;
  fzr_stun_msg answer;
  fzr_stun_attr nonce;
  fzr_addr relayed;
  char text[FZR_ADDR_TEXT_MAX];

  fzr_config config = fzr_config_init();
  config.random = not_random;
  config.random_ctx = &seed;
  config.auth = FZR_AUTH_CALLBACK;
  config.auth_fn = look_up;
  fzr_addr_parse("192.0.2.1", &config.public_ip4);
  const int error = fzr_engine_new(&config, &engine, 0);
  if (error) {
    fprintf(stderr, "%s\n", fzr_strerror(error));
    return EXIT_FAILURE;
  }

  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_ALLOCATE, FZR_STUN_REQUEST, txid);
  printf("without credentials: %d\n", ask(engine, &b, &answer));

  fzr_auth_long_term_key(FZR_PASSWORD_MD5, (const uint8_t *)"alice", 5, "firezone", "ecila", key);
  fzr_stun_get(&answer, FZR_ATTR_NONCE, &nonce);
  fzr_stun_build(&b, buffer, sizeof buffer, FZR_STUN_ALLOCATE, FZR_STUN_REQUEST, txid);
  fzr_stun_add_u32(&b, FZR_ATTR_REQUESTED_TRANSPORT, 17u << 24);
  fzr_stun_add(&b, FZR_ATTR_USERNAME, "alice", 5);
  fzr_stun_add(&b, FZR_ATTR_REALM, "firezone", 8);
  fzr_stun_add(&b, FZR_ATTR_NONCE, nonce.value, nonce.len);
  fzr_stun_add_integrity(&b, key, sizeof key);
  const int code = ask(engine, &b, &answer);
  printf("with credentials: %d\n", code);
  if (code == 0 && fzr_stun_get_addr(&answer, FZR_ATTR_XOR_RELAYED_ADDRESS, &relayed) &&
      fzr_addr_format(&relayed, true, text, sizeof text) > 0)
    printf("relayed address: %s\n", text);
  fzr_engine_free(engine);
  return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
