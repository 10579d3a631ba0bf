/* SPDX-License-Identifier: Apache-2.0 */
/* What two processes say to each other of which one takes the other's place. A message is a datagram: eight bytes of head, and fields, each
 * with its number and length in front, little-endian. A reader passes over fields that it does not know. No socket is needed for it.
 *
 *   successor                         the one that relays
 *   HELLO version, format        ->
 *                                <-   OFFER version, format, workers, addresses; or REFUSE
 *   ACCEPT, or REFUSE            ->
 *                                     goes on reading
 *                                <-   GIVE kind, worker, with descriptors: the sockets that there are
 *                                <-   SO_FAR how many descriptors there were
 *   prepares all that it can
 *   PREPARED, or REFUSE          ->
 *                                     reads no more from here on
 *                                <-   GIVE: the sockets that were opened since, and states
 *                                <-   END how many descriptors there were, from the first one on
 *   READY, or REFUSE             ->
 *                                <-   GO: from here on it may be the successor's
 *   BEGUN: it is, if this can be sent ->
 *   reads
 *   JOINED, if there is a portal ->
 *
 * A socket that was given early may be closed by then: the states say what there is. One of the same kind, worker and address that comes
 * later takes its place. Either side may end this before GO by going away or by saying REFUSE, and then all is as it was. So it is after GO if
 * the successor goes away, or says nothing for too long: the old one closes the connection, and looks whether BEGUN came before that. If not it
 * never will, for it can't be sent any more. Of minor version 0 the successor says no BEGUN, and the old one does not wait for it. */
#ifndef HANDOVER_MESSAGE_H
#define HANDOVER_MESSAGE_H

#include "firezone_relay/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of this protocol. Processes of different major numbers do not understand each other. */
#define HANDOVER_MAJOR 1
#define HANDOVER_MINOR 1
/* From which on the successor says BEGUN. */
#define HANDOVER_MINOR_BEGUN 1

/* Bytes of a message, and descriptors with it: the kernel takes no more (SCM_MAX_FD). */
#define HANDOVER_MESSAGE_MAX 2048u
#define HANDOVER_FDS_MAX     253u

#define HANDOVER_VERSION_MAX  64u
#define HANDOVER_REASON_MAX   256u
#define HANDOVER_WORKERS_MAX  1024u
#define HANDOVER_SECRET_MAX   256u
#define HANDOVER_INSTANCE_MAX 37u
#define HANDOVER_ABOUT_MAX    160u

enum handover_type {
  HANDOVER_HELLO = 1,
  HANDOVER_OFFER,
  HANDOVER_REFUSE,
  HANDOVER_ACCEPT,
  HANDOVER_GIVE,
  HANDOVER_END,
  HANDOVER_READY,
  HANDOVER_GO,
  HANDOVER_JOINED,
  HANDOVER_SO_FAR,
  HANDOVER_PREPARED,
  HANDOVER_BEGUN,
  HANDOVER_TYPES
};

/* What the descriptors of a GIVE are. Files come in the pause; all others before it, and again what was opened since. */
enum handover_kind {
  HANDOVER_STATE = 1,     /* a file: what fzr_engine_save has written of a worker */
  HANDOVER_QUEUES,        /* a file: what the adapter of a worker has of its own */
  HANDOVER_LISTEN,        /* the sockets that clients send to, of a worker */
  HANDOVER_PORTS,         /* sockets of allocations, of a worker */
  HANDOVER_HEALTH,        /* the listener for health checks */
  HANDOVER_CONTROL,       /* the listener of the control endpoint */
  HANDOVER_STREAM_LISTEN, /* the sockets that clients on TCP and TLS connect to, of a worker */
  HANDOVER_STREAMS,       /* a file: connections of a worker, with keys of TLS */
  HANDOVER_CONNECTIONS,   /* their sockets, in the order of the file */
  HANDOVER_OFFLOAD,       /* what relays in the kernel */
  HANDOVER_KINDS
};

typedef struct handover_message {
  enum handover_type type;
  char version[HANDOVER_VERSION_MAX]; /* of the program */
  uint16_t major, minor;              /* of this protocol */
  uint16_t state_major, state_minor;  /* of fzr_engine_save */
  uint32_t workers;
  uint16_t listen_port;
  uint16_t tcp_listen_port, tls_listen_port;           /* 0: none */
  uint32_t tcp_clients, tls_clients;                   /* with an allocation, as OFFER is said */
  fzr_addr public_ip4, public_ip6, bind_ip4, bind_ip6; /* family NONE: none */
  char reason[HANDOVER_REASON_MAX];                    /* of REFUSE: one line */
  uint32_t kind;                                       /* of GIVE: enum handover_kind */
  uint32_t worker;                                     /* of GIVE */
  uint32_t fds; /* of GIVE: with it; of SO_FAR and END: with all of them */
  char
      secret[HANDOVER_SECRET_MAX]; /* of OFFER: by which the portal knows the relay; "": there is no portal */
  uint32_t allocations, channels, permissions; /* of GIVE, LISTEN: that the worker has about then */
  uint64_t saved_at;                           /* of GIVE, STATE: CLOCK_MONOTONIC, nanoseconds */
  char instance[HANDOVER_INSTANCE_MAX];        /* of OFFER: by which a collector of metrics knows the relay */
  uint64_t counting_since;                     /* of OFFER: its counters; Unix time, nanoseconds */
  char about[HANDOVER_ABOUT_MAX];              /* of GIVE, OFFLOAD: what is to be known of it */
  uint64_t went_at; /* of GO: what was counted up to then the other one tells; Unix time, nanoseconds */
} handover_message;

/* Writes |m| into |out|. Returns its length. */
size_t handover_write(const handover_message *m, uint8_t out[HANDOVER_MESSAGE_MAX]);

/* Reads the |len| bytes of |data| into |out|; what it does not have is 0. Returns whether it is a message, of a type that there is, whose
 * fields have lengths and values that they can have. Texts are zero-terminated, and one line. */
bool handover_read(const uint8_t *data, size_t len, handover_message *out);

#endif
