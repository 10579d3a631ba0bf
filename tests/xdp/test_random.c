/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that are nearly right, random ones too, against the reference: the same action, the same bytes, the same reason. */
#include "fzx_csum.h"
#include "scene.h"

#include <linux/bpf.h>

static fzt_prng prng;

static uint8_t random_byte(void)
{
  return (uint8_t)fzt_next(&prng);
}

/* Any size that fits, small ones and those at the edges often. */
static size_t random_size(void)
{
  switch (fzt_below(&prng, 4)) {
  case 0:
    return fzt_below(&prng, 40);
  case 1:
    return 1380 + fzt_below(&prng, 60);
  default:
    return fzt_below(&prng, 1400);
  }
}

static void make_right(unsigned index, bool up)
{
  uint8_t payload[2048];
  const size_t len = random_size();
  fzt_fill(&prng, payload, sizeof payload);
  fzt_put16(payload, scene.world.bound[index].number);
  fzt_put16(payload + 2, (uint16_t)len);
  fzt_world_frame(&scene.world, index, up, payload, up ? len + 4 : len, &scene.in);
}

/* One change, of a kind that matters. */
static void spoil(uint8_t family)
{
  const size_t udp = fzt_udp_at(family), headers = udp + 12 < scene.in.len ? udp + 12 : scene.in.len;
  switch (fzt_below(&prng, 9)) {
  case 0: /* any bit of the headers */
    scene.in.data[fzt_below(&prng, headers)] ^= (uint8_t)(1u << fzt_below(&prng, 8));
    break;
  case 1: /* any byte of them */
    scene.in.data[fzt_below(&prng, headers)] = random_byte();
    break;
  case 2: /* the end */
    scene.in.len -= fzt_below(&prng, scene.in.len - 14);
    break;
  case 3:
    for (uint64_t n = fzt_below(&prng, 8); n; n--)
      scene.in.data[scene.in.len++] = random_byte();
    break;
  case 4: /* an address or port of someone else */
    scene.in.data[udp - 1 - fzt_below(&prng, 8)] ^= random_byte();
    break;
  case 5:
    fzt_unfinish_udp_sum(&scene.in, family);
    break;
  case 6:
    fzt_put16(scene.in.data + udp + 6, fzt_below(&prng, 2) ? 0 : 0xffff);
    break;
  case 7: /* TTL */
    scene.in.data[family == FZR_FAMILY_IPV4 ? 22 : 21] = (uint8_t)fzt_below(&prng, 4);
    break;
  default:
    scene.in.data[fzt_below(&prng, scene.in.len)] = random_byte();
  }
}

/* Whether it makes sense, and is cheap, to mend what was broken on purpose: else almost nothing gets past the first check. */
static void mend(uint8_t family)
{
  if (scene.in.len < fzt_udp_at(family) + 8)
    return;
  if (family == FZR_FAMILY_IPV4 && fzt_below(&prng, 4))
    fzt_fix_ip_sum(&scene.in);
  if (fzt_below(&prng, 4) == 0)
    fzt_fix_udp_sum(&scene.in, family);
}

static void compare(uint64_t round)
{
  const int reason = fzt_reference_relay(&scene.world.reference, &scene.in, &scene.expected);
  fzt_program_sum_up(round % 2);
  const uint32_t action = fzt_program_run(&scene.world.object, &scene.in, 0, &scene.out);
  const int counted = fzt_program_reason(&scene.world.object);
  if (action == FZT_REFUSED)
    return;
  /* The reference knows of no link: that of the tests takes 1,500 bytes. */
  const int wanted = reason < 0 && scene.expected.len > 1514 ? FZX_PASSED_MTU : reason;
  if (wanted >= 0) {
    if (action != XDP_PASS || counted != wanted || scene.out.len != scene.in.len ||
        memcmp(scene.out.data, scene.in.data, scene.in.len))
      ck_abort_msg("round %llu: action %u, counted %d instead of %s", (unsigned long long)round, action,
                   counted, fzx_passed_name((unsigned)wanted));
    return;
  }
  if (action != XDP_TX || scene.out.len != scene.expected.len)
    ck_abort_msg("round %llu: action %u, counted %d", (unsigned long long)round, action, counted);
  if (!fzt_sums_are_right(&scene.in)) {
    fzt_check(!fzt_sums_are_right(&scene.out));
    fzt_fix_udp_sum(&scene.out, fzt_get16(scene.out.data + 12) == 0x0800 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6);
  }
  if (memcmp(scene.out.data, scene.expected.data, scene.out.len))
    ck_abort_msg("round %llu: other bytes", (unsigned long long)round);
}

START_TEST(test_nearly_right)
{
  prng.state = fzt_seed("xdp_nearly_right");
  for (uint64_t round = 0; round < fzt_rounds(6000); round++) {
    const unsigned index = (unsigned)fzt_below(&prng, FZT_CHANNELS);
    const bool up = fzt_below(&prng, 2);
    make_right(index, up);
    const uint8_t family = fzt_get16(scene.in.data + 12) == 0x0800 ? FZR_FAMILY_IPV4 : FZR_FAMILY_IPV6;
    for (uint64_t n = fzt_below(&prng, 3); n; n--)
      spoil(family);
    mend(family);
    compare(round);
  }
}
END_TEST

START_TEST(test_noise)
{
  prng.state = fzt_seed("xdp_noise");
  for (uint64_t round = 0; round < fzt_rounds(2000); round++) {
    scene.in.len = 14 + fzt_below(&prng, 1500);
    fzt_fill(&prng, scene.in.data, scene.in.len);
    fzt_put16(scene.in.data + 12, fzt_below(&prng, 2) ? 0x0800 : 0x86dd);
    if (fzt_below(&prng, 2))
      scene.in.data[fzt_get16(scene.in.data + 12) == 0x0800 ? 23 : 20] = 17;
    compare(round);
  }
}
END_TEST

/* The program's sums against what they stand for: remainders, with 0xffff for 0. */
START_TEST(test_sums)
{
  prng.state = fzt_seed("xdp_sums");
  fzt_check(fzx_csum_fold(0) == 0);
  for (uint64_t round = 0; round < fzt_rounds(100000); round++) {
    const uint64_t multiple = 1 + fzt_below(&prng, (1ull << 32) >> fzt_below(&prng, 32));
    for (uint64_t sum = multiple * 0xffff - 1; sum <= multiple * 0xffff + 1; sum++) {
      const uint64_t rest = sum % 0xffff;
      ck_assert_uint_eq(fzx_csum_fold(sum), rest ? rest : 0xffff);
      ck_assert_int_eq(fzx_csum_is_zero(sum), rest == 0);
    }
    const uint64_t sum = fzt_next(&prng) >> 32, words = fzt_below(&prng, 16ull * 0xffffffff);
    const uint64_t rest = (sum + 0xffff - words % 0xffff) % 0xffff;
    ck_assert_uint_eq(fzx_csum_fold(fzx_csum_sub(sum, words)), rest ? rest : 0xffff);
  }
}
END_TEST

/* With --tcx it is the program of tcx. */
int main(int argc, char **argv)
{
  if (!fzt_program_prepare())
    return FZT_SKIP;
  if (argc > 1 && strcmp(argv[1], "--tcx") == 0)
    fzt_program_use_tcx();
  Suite *suite = suite_create("xdp-random");
  TCase *tc = tcase_create("random");
  tcase_add_checked_fixture(tc, fzt_scene_set_up, fzt_scene_tear_down);
  tcase_add_test(tc, test_nearly_right);
  tcase_add_test(tc, test_noise);
  tcase_add_test(tc, test_sums);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
