/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file socket.h
 * What every adapter on sockets needs: addresses in the system's form, and datagrams of verdicts as
 * the parts of a message. It wants POSIX headers. Nothing here makes a system call, takes memory or
 * keeps state, so any thread may call it.
 */
#ifndef FIREZONE_RELAY_SOCKET_H
#define FIREZONE_RELAY_SOCKET_H

#include "engine.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Room for the name of a socket of either family, as bind and recvmsg want it. */
typedef union fzr_sockaddr {
  /** What to pass to the system. `sa_family` says which of the others holds. */
  struct sockaddr any;
  /** A name of AF_INET. */
  struct sockaddr_in in4;
  /** A name of AF_INET6. */
  struct sockaddr_in6 in6;
} fzr_sockaddr;

/**
 * `fzr_addr_to_sockaddr` writes |addr| to |out| as bind, connect and sendto take it. Both are the
 * caller's. The transport of |addr| is not part of that. Its scope is, where the family is IPv6.
 *
 * Returns how many bytes of |out| count, or 0, with |out| untouched, if |addr| is of no family.
 */
FZR_API socklen_t fzr_addr_to_sockaddr(const fzr_addr *addr, fzr_sockaddr *out);

/**
 * `fzr_addr_from_sockaddr` writes the name |sa| of |len| bytes to |out|. Both are the caller's. The
 * transport is FZR_TRANSPORT_UDP; an adapter for another one sets `transport` afterwards.
 *
 * The scope is kept where it has a meaning: on link-local addresses, unicast and multicast. An
 * IPv4-mapped address stays one of IPv6.
 *
 * Returns 0, or, with |out| untouched:
 * - FZR_ERR_INVALID_ARGUMENT: |sa| is neither IPv4 nor IPv6, or |len| is too short for it. Drop
 *   what came from there.
 */
FZR_API int fzr_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, fzr_addr *out);

/** The most parts of one datagram: header, payload and padding. */
#define FZR_DATAGRAM_IOVECS 3

/**
 * `fzr_verdict_iovecs` points |out| at the parts of datagram |i| of |verdict|, in order. |out| has
 * room for FZR_DATAGRAM_IOVECS. The action of the verdict is FZR_ACT_FORWARD, and |i| is less than
 * its `count`; neither is checked.
 *
 * Nothing is copied: the parts are valid as long as |verdict| and its bytes are, and must not be
 * written to. O(1).
 *
 * Returns how many parts there are, at least one. The payload is always one of them, even if it is
 * empty.
 */
FZR_API size_t fzr_verdict_iovecs(const fzr_verdict *verdict, uint16_t i, struct iovec *out);

#ifdef __cplusplus
}
#endif

#endif
