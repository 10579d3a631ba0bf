/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager is told, if one listens at NOTIFY_SOCKET: the protocol of sd_notify(3). All of it may be called on any thread. */
#ifndef RELAY_NOTIFY_H
#define RELAY_NOTIFY_H

/* This process is the service, and does its work. */
void notify_ready(void);

/* Another process is about to take the place of this one. If it does not, notify_ready. It is left out where the manager is busy: nobody
 * reads meanwhile. */
void notify_reloading(void);

/* Process |pid| is the service from now on, and does its work; this one is about to end. To be said before it ends: otherwise a manager takes
 * that for the end of the service. */
void notify_replaced(int pid);

/* The service is about to end. */
void notify_stopping(void);

/* One line for operators, as printf has it: what it does. It is left out where the manager is busy. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
