/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the records of saved states beside numbers, times and addresses: bits that save.c sets and load.c reads. They do not
 * change. */
#ifndef FZRI_SAVED_H
#define FZRI_SAVED_H

/* FZRI_RECORD_ENGINE: a user's newer allocation ends the older one. */
#define FZRI_SAVED_REPLACES 0x1u

/* FZRI_RECORD_ALLOCATION: as fzri_allocation.uncounted. */
#define FZRI_SAVED_UNCOUNTED 0x1u
/* It is the newest one of its user. */
#define FZRI_SAVED_NEWEST 0x2u

/* FZRI_RECORD_CHANNEL: as fzri_channel.relaying. */
#define FZRI_SAVED_RELAYING 0x1u

/* FZRI_RECORD_MOBILITY: another shard hears the client. */
#define FZRI_SAVED_TUNNELLED 0x1u

/* FZRI_RECORD_RESERVATION: nobody has claimed the port, and its time is not over. */
#define FZRI_SAVED_RESERVED 0x1u

/* FZRI_RECORD_PORTS: another program held it. */
#define FZRI_SAVED_HELD 0x1u
/* How many ports such a record has at most. */
#define FZRI_SAVED_PORTS 128u

#endif
