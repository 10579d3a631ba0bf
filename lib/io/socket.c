/* SPDX-License-Identifier: Apache-2.0 */
#include "firezone_relay/socket.h"

#include "firezone_relay/error.h"

#include <string.h>

socklen_t fzr_addr_to_sockaddr(const fzr_addr *addr, fzr_sockaddr *out)
{
  if (addr->family == FZR_FAMILY_IPV4) {
    memset(&out->in4, 0, sizeof out->in4);
    out->in4.sin_family = AF_INET;
    out->in4.sin_port = htons(addr->port);
    memcpy(&out->in4.sin_addr, addr->ip, 4);
    return sizeof out->in4;
  }
  if (addr->family != FZR_FAMILY_IPV6)
    return 0;
  memset(&out->in6, 0, sizeof out->in6);
  out->in6.sin6_family = AF_INET6;
  out->in6.sin6_port = htons(addr->port);
  out->in6.sin6_scope_id = addr->scope_id;
  memcpy(&out->in6.sin6_addr, addr->ip, 16);
  return sizeof out->in6;
}

static bool is_link_local(const struct in6_addr *ip)
{
  return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip);
}

int fzr_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, fzr_addr *out)
{
  if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)sa;
    memset(out, 0, sizeof *out);
    out->family = FZR_FAMILY_IPV4;
    out->port = ntohs(in4->sin_port);
    memcpy(out->ip, &in4->sin_addr, 4);
    return 0;
  }
  if (len < sizeof(struct sockaddr_in6) || sa->sa_family != AF_INET6)
    return FZR_ERR_INVALID_ARGUMENT;
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
  memset(out, 0, sizeof *out);
  out->family = FZR_FAMILY_IPV6;
  out->port = ntohs(in6->sin6_port);
  out->scope_id = is_link_local(&in6->sin6_addr) ? in6->sin6_scope_id : 0;
  memcpy(out->ip, &in6->sin6_addr, 16);
  return 0;
}

size_t fzr_verdict_iovecs(const fzr_verdict *v, uint16_t i, struct iovec *out)
{
  static const uint8_t zeros[FZR_PAD_MAX];
  size_t n = 0;
  const bool tail = i + 1u == v->count;
  const uint8_t pad = tail ? v->tail_pad : v->pad;
  if (v->hdr_len)
    out[n++] = (struct iovec){(void *)(uintptr_t)fzr_verdict_header(v, i), v->hdr_len};
  out[n++] =
      (struct iovec){(void *)(uintptr_t)(v->data + (size_t)i * v->stride), tail ? v->tail_len : v->len};
  if (pad)
    out[n++] = (struct iovec){(void *)(uintptr_t)zeros, pad};
  return n;
}
