/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/* What the BPF program, its loader and its tests share: maps' keys and values, settings, reasons. All fields of keys and
 * values but the digests and the family are in network order, without padding, so that they compare as bytes. */
#ifndef FZX_SHARED_H
#define FZX_SHARED_H

#include <linux/types.h>

#ifndef FZX_INLINE
#define FZX_INLINE static inline __attribute__((always_inline))
#endif

/* Ethernet's shortest frame without its checksum: nothing shorter is sent. */
#define FZX_FRAME_MIN 60
/* Channels as ChannelData may carry them. */
#define FZX_CHANNEL_MIN    0x4000
#define FZX_CHANNEL_MAX    0x4fff
#define FZX_CHANNEL_HEADER 4
/* Interfaces that frames may leave by. */
#define FZX_TARGETS 8

/* Who sends: a client on a channel, or a peer to a relayed port. */
struct fzx_key4 {
  __be32 ip;
  __be16 port;
  __be16 what; /* channel, or relayed port */
};

struct fzx_key6 {
  __be32 ip[4];
  __be16 port;
  __be16 what;
};

/* Family and MTU of the way out in one: the IP packets that it takes are even in length at most, or one less, and the odd bit says IPv6.
 * The routing table forgets the MTU of a route unless that is locked; user space, which knows it, asks when a channel is bound. */
#define FZX_PATH_IPV6 1u
#define FZX_PATH_ANY  0xfffeu /* of a route without an MTU of its own */

FZX_INLINE __u16 fzx_path(unsigned mtu, int ipv6)
{
  return (__u16)((mtu < FZX_PATH_ANY ? mtu & FZX_PATH_ANY : FZX_PATH_ANY) | (ipv6 ? FZX_PATH_IPV6 : 0u));
}

FZX_INLINE unsigned fzx_path_mtu(__u16 path)
{
  return path & FZX_PATH_ANY;
}

FZX_INLINE int fzx_path_is_ipv6(__u16 path)
{
  return (path & FZX_PATH_IPV6) != 0;
}

/* What to make of it, with IPv4 addresses, or the first words of IPv6 ones. */
struct fzx_out {
  __be16 sport;
  __be16 dport;
  __be16 channel;
  __u16 path; /* fzx_path() */
  __be32 src;
  __be32 dst;
};

/* The other words of IPv6 addresses; all zero for IPv4, where nobody reads them. */
struct fzx_rest {
  __be32 src[3];
  __be32 dst[3];
  __u32 digest;
};

/* The key again, and digests, each of all before it: a freed element is filled anew at once, while it may still be read, so whoever reads
 * it makes a copy, and trusts that only if it is whole and its key the one that was looked for. */
struct fzx_value4 {
  struct fzx_key4 key;
  __be32 in_dst; /* the address the packet must have been sent to */
  struct fzx_out out;
  __u32 digest;
  struct fzx_rest rest;
};

struct fzx_value6 {
  struct fzx_key6 key;
  __be32 in_dst[4];
  struct fzx_out out;
  __u32 digest;
  struct fzx_rest rest;
};

_Static_assert(sizeof(struct fzx_key4) == 8, "no padding");
_Static_assert(sizeof(struct fzx_key6) == 20, "no padding");
_Static_assert(sizeof(struct fzx_out) == 16, "no padding");
_Static_assert(sizeof(struct fzx_value4) == 60, "no padding");
_Static_assert(sizeof(struct fzx_value6) == 84, "no padding");

/* A digest of |count| words. Which words are the ones of before and which are new is for chance to decide, so it need not withstand more
 * than that: 1 in 2^32 of such mixtures has the right one. */
#define FZX_DIGEST_FACTOR 0x9e3779b97f4a7c15ull /* odd, and its powers are as good as random */

FZX_INLINE __u32 fzx_digest(const __u32 *words, unsigned count)
{
  __u64 sum = 0, factor = FZX_DIGEST_FACTOR;
  for (unsigned i = 0; i < count; i++) {
    sum += words[i] * factor;
    factor *= FZX_DIGEST_FACTOR;
  }
  return (__u32)(sum >> 32);
}

enum fzx_route {
  FZX_ROUTE_FIB = 0, /* the host's routing table decides */
  FZX_ROUTE_SWAP = 1 /* back to the router that the packet came from */
};

/* Read only once the program is loaded. Ports in host order. */
struct fzx_settings {
  __u16 listen_port;
  __u16 lowest_port;
  __u16 highest_port;
  __u16 route; /* enum fzx_route */
  __u32 guard; /* not 0: junk is dropped */
  __u32
      stranger_interval; /* ns for each answer that strangers of a prefix may have; 0: as many as they like */
};

_Static_assert(sizeof(struct fzx_settings) == 16, "no padding");

/* One of the relay's own addresses; IPv4 in the first word, and the rest 0. */
struct fzx_address {
  __be32 ip[4];
};

/* What may be dropped that was sent there, besides what is neither STUN nor ChannelData. */
#define FZX_OWN_ALL_CLIENTS 1u /* ChannelData of clients that are not among those known to have channels */

/* A port for allocations, by families: how many channels it has in the maps, and how many in user space alone. */
struct fzx_port {
  __u16 in_kernel[2];
  __u16 left[2];
};

_Static_assert(sizeof(struct fzx_port) == 8, "no padding");

enum fzx_direction { FZX_CLIENT_TO_PEER = 0, FZX_PEER_TO_CLIENT = 1, FZX_DIRECTIONS = 2 };

/* Class i holds payloads up to (i + 1) * 100 bytes, the last the rest. Index of the map: direction * classes + class. */
#define FZX_SIZE_CLASSES 16

struct fzx_counter {
  __u64 packets;
  __u64 bytes;
};

/* The most that a packet grows by at its front: from IPv4 to IPv6, with a ChannelData header. */
#define FZX_GROWTH 24

/* What the program that tries has found out of an interface. */
enum fzx_head { FZX_HEAD_MOVES = 1, FZX_HEAD_FIXED = 2 };

/* Why a packet was left to user space: index of the map of counters. */
enum fzx_passed {
  FZX_PASSED_NOT_UDP = 0,      /* or not IP at all */
  FZX_PASSED_VLAN,             /* a tagged frame */
  FZX_PASSED_GROUP,            /* multicast or broadcast on the link, to it or, what can't be, from it */
  FZX_PASSED_OPTIONS,          /* IPv4 options, IPv6 extension headers */
  FZX_PASSED_FRAGMENT,         /* of an IP packet */
  FZX_PASSED_PORT,             /* for neither the listen port nor the range */
  FZX_PASSED_NOT_CHANNEL_DATA, /* a request, or anything else that is no ChannelData */
  FZX_PASSED_CHANNEL_LENGTH,   /* its length field is not that of the payload: padding, or a fault */
  FZX_PASSED_LENGTH,           /* IP, UDP and frame disagree: padding of the frame, or a fault */
  FZX_PASSED_NOT_LINEAR,       /* headers are not in the first buffer */
  FZX_PASSED_TTL,              /* would be 0 */
  FZX_PASSED_IP_CHECKSUM,      /* wrong */
  FZX_PASSED_UNFINISHED,       /* UDP checksum yet to be computed by a device: local senders, runs */
  FZX_PASSED_NO_CHECKSUM,      /* UDP checksum 0 where IPv6 needs one */
  FZX_PASSED_NO_ENTRY,         /* no such channel here */
  FZX_PASSED_CHANGED,          /* the entry became another channel's while it was read */
  FZX_PASSED_DESTINATION,      /* sent to another address than the channel's */
  FZX_PASSED_SHORT,            /* the frame would be shorter than Ethernet allows */
  FZX_PASSED_MTU,              /* the packet would not fit the link or the route */
  FZX_PASSED_NO_FORWARDING,    /* the sysctl `forwarding` of the interface is off */
  FZX_PASSED_NO_NEIGHBOUR,     /* the next hop's link address is not known */
  FZX_PASSED_NO_ROUTE,         /* any other answer of the routing table */
  FZX_PASSED_INTERFACE,        /* leaves by an interface that the program is not attached to */
  FZX_PASSED_NO_HEADROOM,      /* the driver would not move the packet's start */
  FZX_PASSED_RUN,              /* several packets in one (GRO, GSO), which user space takes at once */
  FZX_PASSED_REASONS
};

/* Why a packet was dropped, as user space would have: index of the map of counters. */
enum fzx_dropped {
  FZX_DROPPED_SOURCE_PORT = 0,   /* from port 0 */
  FZX_DROPPED_NOT_STUN,          /* nor ChannelData */
  FZX_DROPPED_STUN_TRUNCATED,    /* shorter than its header, or not as long as its length field says */
  FZX_DROPPED_STUN_COOKIE,       /* another magic cookie */
  FZX_DROPPED_STUN_LENGTH,       /* the length field is no multiple of 4 */
  FZX_DROPPED_STUN_NOT_REQUEST,  /* a response */
  FZX_DROPPED_CHANNEL_TRUNCATED, /* shorter than its header, or than its length field says */
  FZX_DROPPED_UNKNOWN_CLIENT,    /* ChannelData of a client that has no channel */
  FZX_DROPPED_UNKNOWN_PEER,      /* to a port for allocations, from nobody that has a channel there */
  FZX_DROPPED_RATE_LIMITED,      /* a request without credentials, of a prefix that has had its share */
  FZX_DROPPED_REASONS
};

#endif
