/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/proxy.h"

#include <string.h>

#define SIGNATURE    12u
#define TLV_HEADER   3u
#define TYPE_CRC32C  3u
#define CHECKSUM_LEN 4u

enum { VERSION = 2 };
enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX };
enum { PROTOCOL_UNSPEC, PROTOCOL_STREAM, PROTOCOL_DGRAM };

static const uint8_t signature[SIGNATURE] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                             0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static enum stream_proxy_result bad(stream_proxy_header *out, const char *error)
{
  *out = (stream_proxy_header){.error = error};
  return STREAM_PROXY_BAD;
}

static enum stream_proxy_result more(stream_proxy_header *out, size_t want)
{
  out->want = want;
  return STREAM_PROXY_MORE;
}

static size_t get16(const uint8_t *data)
{
  return (size_t)data[0] << 8 | data[1];
}

/* CRC32C (RFC 9260 appendix A) of the |len| bytes at |data|, with zeros for the CHECKSUM_LEN bytes from |hole| on. A bit at a time:
 * there are few bytes, and one header a connection. */
static uint32_t crc32c(const uint8_t *data, size_t len, size_t hole)
{
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < len; i++) {
    crc ^= i - hole < CHECKSUM_LEN ? 0 : data[i];
    for (unsigned bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

/* Whether the checksum at |at|, of the header of |len| bytes at |data|, is right. */
static bool sum_is_right(const uint8_t *data, size_t len, size_t at)
{
  const uint32_t told = (uint32_t)(get16(data + at) << 16 | get16(data + at + 2));
  return crc32c(data, len, at) == told;
}

/* Reads what follows the addresses, from |at| on: the checksum is compared, all else is passed over. Returns NULL, or what is wrong. */
static const char *read_tlvs(const uint8_t *data, size_t len, size_t at)
{
  while (at < len) {
    if (len - at < TLV_HEADER)
      return "what follows the addresses in its PROXY header is cut";
    const size_t value = get16(data + at + 1);
    if (value > len - at - TLV_HEADER)
      return "a value in its PROXY header is longer than that";
    if (data[at] == TYPE_CRC32C && (value != CHECKSUM_LEN || !sum_is_right(data, len, at + TLV_HEADER)))
      return "the checksum of its PROXY header is wrong";
    at += TLV_HEADER + value;
  }
  return NULL;
}

/* An address of |size| bytes. */
static fzr_addr read_addr(const uint8_t *ip, size_t size, const uint8_t *port)
{
  fzr_addr addr = {.family = size == 4 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6, .port = (uint16_t)get16(port)};
  memcpy(addr.ip, ip, size);
  return addr;
}

/* Whether |addr| is IPv4 that is written as IPv6 (::ffff:192.0.2.1): then *|ip4| is what it means. */
static bool is_mapped(const fzr_addr *addr, fzr_addr *ip4)
{
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  if (addr->family != FZR_FAMILY_IPV6 || memcmp(addr->ip, mapped, sizeof mapped) != 0)
    return false;
  *ip4 = (fzr_addr){.family = FZR_FAMILY_IPV4, .port = addr->port};
  memcpy(ip4->ip, addr->ip + sizeof mapped, 4);
  return true;
}

/* A balancer that listens for both families may write IPv4 as IPv6, and HAProxy does where the two ends differ. A 5-tuple has one
 * family, the client's, whose networks are counted: of a server of another one only the port is left. */
static void unmap(stream_proxy_header *h)
{
  fzr_addr client, server;
  if (!is_mapped(&h->client, &client))
    return;
  if (!is_mapped(&h->server, &server))
    server = (fzr_addr){.family = FZR_FAMILY_IPV4, .port = h->server.port};
  h->client = client;
  h->server = server;
}

/* Reads the |len| bytes of a whole header of the command PROXY. */
static enum stream_proxy_result read_proxied(const uint8_t *data, size_t len, stream_proxy_header *out)
{
  const unsigned family = data[13] >> 4, protocol = data[13] & 0xf;
  const uint8_t *block = data + STREAM_PROXY_START;
  if (family > FAMILY_UNIX || protocol > PROTOCOL_DGRAM)
    return bad(out, "its PROXY header has a family or protocol that there is not");
  /* Allowed, and nothing that clients here could have come by. */
  if ((family != FAMILY_INET && family != FAMILY_INET6) || protocol != PROTOCOL_STREAM)
    return STREAM_PROXY_DONE;
  const size_t size = family == FAMILY_INET ? 4 : 16, addresses = 2 * size + 4;
  if (len - STREAM_PROXY_START < addresses)
    return bad(out, "its PROXY header is too short for its addresses");
  const char *error = read_tlvs(data, len, STREAM_PROXY_START + addresses);
  if (error)
    return bad(out, error);
  out->client = read_addr(block, size, block + 2 * size);
  out->server = read_addr(block + size, size, block + 2 * size + 2);
  if (!out->client.port)
    return bad(out, "its PROXY header names no port of the client");
  unmap(out);
  out->has_addresses = true;
  return STREAM_PROXY_DONE;
}

enum stream_proxy_result stream_proxy_read(const uint8_t *data, size_t len, stream_proxy_header *out)
{
  *out = (stream_proxy_header){0};
  if (len && memcmp(data, signature, len < SIGNATURE ? len : SIGNATURE) != 0)
    return bad(out, len >= 5 && memcmp(data, "PROXY", 5) == 0
                        ? "its PROXY header is one of version 1: version 2 is required"
                        : "it does not begin with a PROXY header of version 2");
  if (len > SIGNATURE && data[12] >> 4 != VERSION)
    return bad(out, "its PROXY header is of another version than 2");
  if (len > SIGNATURE && (data[12] & 0xf) > COMMAND_PROXY)
    return bad(out, "its PROXY header has a command that there is not");
  if (len < STREAM_PROXY_START)
    return more(out, STREAM_PROXY_START);
  const size_t total = STREAM_PROXY_START + get16(data + 14);
  if (total > STREAM_PROXY_MAX)
    return bad(out, "its PROXY header is longer than 4096 bytes");
  if (len < total)
    return more(out, total);
  out->want = total;
  /* Whatever else it says, the balancer speaks for itself: a health check. */
  if ((data[12] & 0xf) == COMMAND_LOCAL)
    return STREAM_PROXY_DONE;
  return read_proxied(data, total, out);
}

bool stream_proxy_is_among(const fzr_peer_rule *networks, size_t count, const fzr_addr *addr)
{
  for (size_t i = 0; i < count; i++) {
    const fzr_addr *net = &networks[i].net;
    const size_t whole = networks[i].prefix / 8;
    const unsigned rest = networks[i].prefix % 8;
    if (net->family == addr->family && memcmp(net->ip, addr->ip, whole) == 0 &&
        (!rest || (net->ip[whole] ^ addr->ip[whole]) >> (8 - rest) == 0))
      return true;
  }
  return false;
}
