/* SPDX-License-Identifier: Apache-2.0 */
/* Between fzr_addr and the system's socket addresses. */
#ifndef NET_SOCKADDR_H
#define NET_SOCKADDR_H

#include "firezone_relay/types.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Writes |addr| as a socket address; returns its length. */
static inline socklen_t to_sockaddr(const fzr_addr *addr, struct sockaddr_storage *out)
{
  memset(out, 0, sizeof *out);
  if (addr->family == FZR_FAMILY_IPV6) {
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope_id};
    memcpy(&in6.sin6_addr, addr->ip, 16);
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
  }
  struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
  memcpy(&in4.sin_addr, addr->ip, 4);
  memcpy(out, &in4, sizeof in4);
  return sizeof in4;
}

/* Reads an IPv4 or IPv6 socket address. Returns whether it is one. */
static inline bool from_sockaddr(const struct sockaddr *sa, fzr_addr *out)
{
  memset(out, 0, sizeof *out);
  if (sa->sa_family == AF_INET) {
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)sa;
    out->family = FZR_FAMILY_IPV4;
    out->port = ntohs(in4->sin_port);
    memcpy(out->ip, &in4->sin_addr, 4);
    return true;
  }
  if (sa->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    out->family = FZR_FAMILY_IPV6;
    out->port = ntohs(in6->sin6_port);
    out->scope_id = in6->sin6_scope_id;
    memcpy(out->ip, &in6->sin6_addr, 16);
    return true;
  }
  return false;
}

#endif
