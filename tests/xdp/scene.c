/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <linux/bpf.h>

fzt_world world;
fzt_frame in, out, expected;
static uint8_t payload[FZT_FRAME_MAX];

void set_up(void)
{
  fzt_world_make(&world, true);
  for (size_t i = 0; i < sizeof payload; i++)
    payload[i] = (uint8_t)(i * 13 + 5);
}

void tear_down(void)
{
  fzt_world_free(&world);
}

uint8_t family_in(unsigned index, bool up)
{
  return up ? world.bound[index].client.family : world.bound[index].peer.family;
}

uint8_t family_out(unsigned index, bool up)
{
  return family_in(index, !up);
}

void make(unsigned index, bool up, size_t len)
{
  if (up) {
    fzt_put16(payload, world.bound[index].number);
    fzt_put16(payload + 2, (uint16_t)len);
  }
  fzt_world_frame(&world, index, up, payload, up ? len + 4 : len, &in);
  /* Once in 65,536 a full sum looks like an unfinished one: another payload then. */
  if (len && fzt_reference_relay(&world.reference, &in, &expected) == FZX_PASSED_UNFINISHED) {
    in.data[in.len - 1] ^= 1;
    fzt_fix_udp_sum(&in, family_in(index, up));
  }
}

void expect_passed(int reason, const char *what)
{
  uint64_t bytes;
  const uint64_t before = fzt_program_relayed(&world.object, &bytes);
  const uint32_t action = fzt_program_run(&world.object, &in, 0, &out);
  const int counted = fzt_program_reason(&world.object);
  ck_assert_msg(action == XDP_PASS, "%s: action %u", what, action);
  ck_assert_msg(counted == reason, "%s: counted %d (%s) instead of %s", what, counted,
                counted >= 0 ? fzx_passed_name((unsigned)counted) : "-", fzx_passed_name((unsigned)reason));
  ck_assert_msg(out.len == in.len && !memcmp(out.data, in.data, in.len), "%s: touched", what);
  ck_assert_uint_eq(fzt_program_relayed(&world.object, &bytes), before);
}

void expect_relayed(const char *what)
{
  ck_assert_msg(fzt_reference_relay(&world.reference, &in, &expected) == -1, "%s: not for the reference",
                what);
  const uint32_t action = fzt_program_run(&world.object, &in, 0, &out);
  const int counted = fzt_program_reason(&world.object);
  ck_assert_msg(action == XDP_TX, "%s: action %u, counted %s", what, action,
                counted >= 0 ? fzx_passed_name((unsigned)counted) : "-");
  ck_assert_int_eq(counted, -1);
  ck_assert_msg(out.len == expected.len, "%s: %zu bytes instead of %zu", what, out.len, expected.len);
  for (size_t i = 0; i < out.len; i++)
    if (out.data[i] != expected.data[i])
      ck_abort_msg("%s: byte %zu is %02x instead of %02x", what, i, out.data[i], expected.data[i]);
}
