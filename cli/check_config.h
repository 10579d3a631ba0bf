/* SPDX-License-Identifier: Apache-2.0 */
/* --check-config. */
#ifndef RELAY_CHECK_CONFIG_H
#define RELAY_CHECK_CONFIG_H

#include "options.h"

/* Reads the files that |o| names: secrets, users, certificates. Mistakes become lines on standard error. Returns how many files have
 * some. */
unsigned check_config_files(const options *o);

#endif
