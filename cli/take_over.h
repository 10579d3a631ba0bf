/* SPDX-License-Identifier: Apache-2.0 */
/* --take-over: a command that ends when a relay that it has started in the background has taken the place of the one that there was, as
 * ExecReload= of a systemd unit has to. */
#ifndef RELAY_TAKE_OVER_H
#define RELAY_TAKE_OVER_H

/* Splits off the process that is to be the relay: a child of nobody but init, or of the service manager that is in its place, which supervises
 * none but its own children. To be called before there are threads. Returns an exit status for the process that waits, once the relay has
 * taken over or can't; and -1 in the relay, with *|told| for take_over_done. It ends if take_over_commit is not called within a minute. */
int take_over_split(int *told);

/* To be called before the process that is taken over hears that all is there: from then on this one may be the only one that has the
 * allocations, and must not end for being slow. */
void take_over_commit(void);

/* Tells who waits at |told| that this process has taken over. -1: nobody waits. */
void take_over_done(int told);

#endif
