/* SPDX-License-Identifier: Apache-2.0 */
/* What callers within the library have to see to. In debug and sanitizer builds (FZRI_CHECKED) it is looked at, and the program ends where it
 * is not so; in others the condition is not even evaluated. What strangers send, or an embedder passes, is never asserted. */
#ifndef FZRI_PRECONDITION_H
#define FZRI_PRECONDITION_H

#ifdef FZRI_CHECKED
#define FZRI_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define FZRI_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

#endif
