/* SPDX-License-Identifier: Apache-2.0 */
/* What a relay process sets up for itself before it opens a socket. */
#ifndef RELAY_PROCESS_H
#define RELAY_PROCESS_H

#include "options.h"

#include <pthread.h>

/* Descriptors that are left when no socket for an allocation can be had any more: for the portal, and for HTTP, whose servers take up to
 * 64 and 16. Of a low limit a quarter. */
#define PROCESS_SPARE 128u

/* Gives up gaining privileges and leaving core dumps: both outlive no secret. */
void process_harden(void);

/* Keeps the signals that end the relay pending for the calling thread, and those that it starts, or lets them come. Held ones are not
 * lost, as long as nobody ignores them. */
void process_hold_signals(bool hold);

/* Has up to 4 MiB of each thread's freed memory stay with the process. What waits for clients of streams takes and gives back memory in each turn of
 * the loop, and the kernel would have to make the same pages anew each time. */
void process_keep_memory(void);

/* Gives back all that stayed so: for a hand-over, for whose time there are two processes. */
void process_give_back_memory(void);

/* Makes sure that descriptors 0 to 2 are taken, before anything else is opened: what is written to a standard stream that was closed must
 * not go to whatever got its number. */
void process_keep_standard_streams(void);

/* Raises the soft limit of descriptors to the hard one, and makes room for as many as there can be. Before there are threads. */
void process_raise_descriptors(const options *o, unsigned workers);

/* Warns if the limit is too low for all of the range's ports. */
void process_log_descriptors(const options *o, unsigned workers);

/* How many of |limit| descriptors are kept so. */
uint64_t process_spare(uint64_t limit);

/* Lets the calling thread step back where relaying wants the CPU. Threads that it starts from then on inherit that. */
void process_step_back(void);

/* Has sleeps of the calling thread last for as long as they are meant to, not tens of microseconds longer. */
void process_sleep_exactly(void);

/* How many CPUs there are for this process, by its affinity and its control group's quota. */
unsigned process_cpus(void);

/* Keeps |thread| on CPU number |n| of those, counted round and round. Returns 0 or an errno. */
int process_pin(pthread_t thread, unsigned n);

/* Bytes of memory that the process may have: the machine's, or less where a control group allows less. 0: not known. */
uint64_t process_memory(void);

/* What a channel takes, all tables and their growth included. */
#define CHANNEL_BYTES 256u

/* How many channels a relay should have at most in |memory| bytes, 0 if that is not known: a quarter of it for them. */
uint32_t memory_channels(uint64_t memory);

#endif
