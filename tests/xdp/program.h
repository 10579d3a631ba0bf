/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF program, loaded for tests and run on single frames (BPF_PROG_TEST_RUN), in a network namespace made for that. */
#ifndef FZT_PROGRAM_H
#define FZT_PROGRAM_H

#include "channels.h"
#include "frame.h"
#include "object.h"

#define FZT_LISTEN_PORT 3478
#define FZT_LOWEST      49152
#define FZT_HIGHEST     65535
#define FZT_SKIP        77

/* Where frames come in: an interface with an MTU of 1,500, with the program on it. */
#define FZT_INGRESS "fzt0"
#define FZT_EGRESS  "fzt2"

/* Moves this process into a namespace with two veth pairs, fzt0-fzt1 and fzt2-fzt3, and no addresses. Returns false, having said
 * why, if this can't be tested here: no root, or an old kernel. Ends the process if it fails. */
bool fzt_program_prepare(void);

/* From here on this process has those capabilities of |mask|, bits by number, and no other. What it executes as root has all again. */
void fzt_keep_capabilities(uint64_t mask);

/* Runs a command of the shell; ends the process if it fails. */
void fzt_shell(const char *command);

/* Loads the program and puts it on FZT_INGRESS. Fails the test if that can't be done. */
void fzt_program_load(xdp_object *object, bool swap);
void fzt_program_unload(xdp_object *object);

/* From here on tests load the program of tcx, not that of XDP. Its actions are told as XDP's: a packet that goes on is XDP_PASS, one that leaves
 * XDP_TX, or XDP_REDIRECT if it is from FZT_EGRESS's address. */
void fzt_program_use_tcx(void);
bool fzt_program_is_tcx(void);

/* Whether, from here on, packets come to tcx as from a device that has summed up all that follows the MAC header. That sum has to be right afterwards,
 * too. Nothing on a kernel that can't test that, nor with XDP. */
void fzt_program_sum_up(bool sums);

/* From here on programs drop junk, and requests of prefixes over |rate| a second; 0: however many. */
void fzt_program_use_guard(uint32_t rate);
bool fzt_program_guards(void);

/* What they return if the kernel does not allow for so much metadata, or for frames in two buffers. */
#define FZT_REFUSED UINT32_MAX

/* Runs the program on |in|, as if it had come by FZT_INGRESS with |headroom_used| bytes of metadata in front. Returns its XDP_… action,
 * with the frame as it left it in |out|. */
uint32_t fzt_program_run(const xdp_object *object, const fzt_frame *in, unsigned headroom_used,
                         fzt_frame *out);

/* The same for the packet of a run whose segments have |gso_size| bytes. Of tcx alone. */
uint32_t fzt_program_run_gso(const xdp_object *object, const fzt_frame *in, uint32_t gso_size,
                             fzt_frame *out);

/* The same for a frame of which only the first |linear| bytes are in the first buffer. Takes Linux 6.18. */
uint32_t fzt_program_run_split(const xdp_object *object, const fzt_frame *in, unsigned linear,
                               fzt_frame *out);

/* Which reason was counted since the last call: the one whose counter went up by 1. -1 if none did, -2 if more. */
int fzt_program_reason(const xdp_object *object);

/* Which reason to drop was counted since the last call, as fzt_program_reason(). */
int fzt_program_dropped(const xdp_object *object);

/* Packets counted as relayed since the object was loaded, both directions; bytes in *|bytes|. */
uint64_t fzt_program_relayed(const xdp_object *object, uint64_t *bytes);

#endif
