/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that were loaded (load.h) and go on once their sockets are there. Until then no packet finds them; to the application they are as
 * those that are opened for an Allocate, but that no other port will do and nobody is answered. */
#ifndef FZRI_RESUME_H
#define FZRI_RESUME_H

#include "allocation.h"

/* What became of opening the port of |a|, which resumes, for |family|: |error| or the cookie |io|. */
void fzri_resume_port_result(fzr_engine *e, fzri_allocation *a, enum fzr_family family, int error, void *io);

/* Takes all allocations back, none of which was told of, with all that belongs to them: as if nothing had been loaded. */
void fzri_resume_undo(fzr_engine *e);

#endif
