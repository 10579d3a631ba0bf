/* SPDX-License-Identifier: Apache-2.0 */
/* firezone-relay import-coturn: a turnserver.conf as a file for --config. */
#ifndef RELAY_IMPORT_COTURN_H
#define RELAY_IMPORT_COTURN_H

#include "coturn/translate.h"
#include "options.h"

/* Whether |value| will do for the option |name| of a configuration file: NULL, or what would be right. */
const char *import_coturn_expected(const char *name, const char *value);

/* Writes to |out| why the relay would not start with |text| as its configuration file, a line each. Returns how many. */
size_t import_coturn_refused(const char *text, FILE *out);

/* Returns the exit status, an enum coturn_result or EXIT_FAILURE. */
int import_coturn_main(const options *o);

#endif
