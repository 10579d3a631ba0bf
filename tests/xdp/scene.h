/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of single frames share: a world whose frames go back to where they came from, and the frame in question. */
#ifndef FZT_SCENE_H
#define FZT_SCENE_H

#include "world.h"

extern fzt_world world;
extern fzt_frame in, out, expected;

void set_up(void);
void tear_down(void);

/* The families of frames on channel |index|, from the client if |up|. */
uint8_t family_in(unsigned index, bool up);
uint8_t family_out(unsigned index, bool up);

/* Makes `in` a frame on channel |index| with |len| bytes of payload, ChannelData if |up|. */
void make(unsigned index, bool up, size_t len);

/* Runs `in`: it must be left alone for |reason|, or be relayed as the reference says. |what| is for the message. */
void expect_passed(int reason, const char *what);
void expect_relayed(const char *what);

#endif
