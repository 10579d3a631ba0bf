/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate of the TLS listener, as its files have it, and as they have it later. On the main thread. */
#ifndef RELAY_CERTIFICATES_H
#define RELAY_CERTIFICATES_H

#include "net/tls_server.h"
#include "options.h"

typedef struct certificates certificates;

/* Reads --tls-cert and --tls-key, and checks that they belong together. NULL with one line in |error|. */
certificates *certificates_new(const options *o, char error[OPTIONS_ERROR_MAX]);
void certificates_free(certificates *c);

/* A further copy of what was read last, for another thread; the caller's. NULL with one line in |error|. */
net_tls_identity *certificates_copy(const certificates *c, char error[OPTIONS_ERROR_MAX]);

/* Reads the files anew, which have to be regular ones by now: at the start a pipe will do. They are those that |o| names, or, if that is
 * NULL, those that they were. Returns 0, or -1 with one line in |error|: then the certificate stays as it was. */
int certificates_reread(certificates *c, const options *o, char error[OPTIONS_ERROR_MAX]);

/* Whether the files are others than those that were last looked at, and have not changed since the call before this one: who writes them is done. Says
 * so once for each change. */
bool certificates_changed(certificates *c);

/* Logs until when the certificate is good. */
void certificates_log(const certificates *c);

#endif
