/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of single frames share: a world whose frames go back to where they came from, and the frame in question. */
#ifndef FZT_SCENE_H
#define FZT_SCENE_H

#include "world.h"

typedef struct fzt_scene {
  fzt_world world;
  fzt_frame in, out, expected; /* into the program, out of it, and what should have come out */
} fzt_scene;

extern fzt_scene scene;

void fzt_scene_set_up(void);
void fzt_scene_tear_down(void);

/* The families of frames on channel |index|, from the client if |up|. */
uint8_t fzt_scene_family_in(unsigned index, bool up);
uint8_t fzt_scene_family_out(unsigned index, bool up);

/* Makes `scene.in` a frame on channel |index| with |len| bytes of payload, ChannelData if |up|. */
void fzt_scene_make(unsigned index, bool up, size_t len);

/* Runs `scene.in`: it must be left alone for |reason|, or be relayed as the reference says. |what| is for the message. */
void fzt_scene_expect_passed(int reason, const char *what);
void fzt_scene_expect_relayed(const char *what);

#endif
