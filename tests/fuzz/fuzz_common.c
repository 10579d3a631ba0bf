/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

volatile uint32_t fuzz_sink;
