/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of the methods, each in a file of its own, h_*.c. Each answers once or says in r->dropped why it does not; an Allocate
 * that waits for its sockets, or repeats one that does, is answered later. */
#ifndef FZRI_HANDLERS_H
#define FZRI_HANDLERS_H

#include "permission.h"
#include "request.h"

void fzri_handle_binding(fzr_engine *e, fzri_request *r);
void fzri_handle_allocate(fzr_engine *e, fzri_request *r);
void fzri_handle_refresh(fzr_engine *e, fzri_request *r);
void fzri_handle_create_permission(fzr_engine *e, fzri_request *r);
void fzri_handle_channel_bind(fzr_engine *e, fzri_request *r);

/* The error code for |result|: 0, or 508. */
unsigned fzri_permit_code(fzr_engine *e, fzri_request *r, enum fzri_permit_result result);

#endif
