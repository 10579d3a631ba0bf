/* SPDX-License-Identifier: Apache-2.0 */
#include "crc32.h"

#include "bytes.h"

/* A CRC is linear: what a byte contributes is what its bits do, so eight values make a table. Each bit, from the lowest on, doubles it. */
#define BIT0(x, a)                   (x), (x) ^ (a)
#define BIT1(x, a, b)                BIT0(x, a), BIT0((x) ^ (b), a)
#define BIT2(x, a, b, c)             BIT1(x, a, b), BIT1((x) ^ (c), a, b)
#define BIT3(x, a, b, c, d)          BIT2(x, a, b, c), BIT2((x) ^ (d), a, b, c)
#define BIT4(x, a, b, c, d, e)       BIT3(x, a, b, c, d), BIT3((x) ^ (e), a, b, c, d)
#define BIT5(x, a, b, c, d, e, f)    BIT4(x, a, b, c, d, e), BIT4((x) ^ (f), a, b, c, d, e)
#define BIT6(x, a, b, c, d, e, f, g) BIT5(x, a, b, c, d, e, f), BIT5((x) ^ (g), a, b, c, d, e, f)
#define TABLE(a, b, c, d, e, f, g, h)                                                                        \
  {                                                                                                          \
    BIT6(0u, a, b, c, d, e, f, g), BIT6(h, a, b, c, d, e, f, g)                                              \
  }

/* tables[k][b]: what byte b contributes when k more bytes follow it in the same step of four or eight. */
static const uint32_t tables[8][256] = {
    TABLE(0x77073096u, 0xee0e612cu, 0x076dc419u, 0x0edb8832u, 0x1db71064u, 0x3b6e20c8u, 0x76dc4190u,
          0xedb88320u),
    TABLE(0x191b3141u, 0x32366282u, 0x646cc504u, 0xc8d98a08u, 0x4ac21251u, 0x958424a2u, 0xf0794f05u,
          0x3b83984bu),
    TABLE(0x01c26a37u, 0x0384d46eu, 0x0709a8dcu, 0x0e1351b8u, 0x1c26a370u, 0x384d46e0u, 0x709a8dc0u,
          0xe1351b80u),
    TABLE(0xb8bc6765u, 0xaa09c88bu, 0x8f629757u, 0xc5b428efu, 0x5019579fu, 0xa032af3eu, 0x9b14583du,
          0xed59b63bu),
    TABLE(0x3d6029b0u, 0x7ac05360u, 0xf580a6c0u, 0x30704bc1u, 0x60e09782u, 0xc1c12f04u, 0x58f35849u,
          0xb1e6b092u),
    TABLE(0xcb5cd3a5u, 0x4dc8a10bu, 0x9b914216u, 0xec53826du, 0x03d6029bu, 0x07ac0536u, 0x0f580a6cu,
          0x1eb014d8u),
    TABLE(0xa6770bb4u, 0x979f1129u, 0xf44f2413u, 0x33ef4e67u, 0x67de9cceu, 0xcfbd399cu, 0x440b7579u,
          0x8816eaf2u),
    TABLE(0xccaa009eu, 0x4225077du, 0x844a0efau, 0xd3e51bb5u, 0x7cbb312bu, 0xf9766256u, 0x299dc2edu,
          0x533b85dau),
};

/* What the four bytes of |word| contribute when |more| bytes follow them in the step. */
static uint32_t step(uint32_t word, unsigned more)
{
  return tables[more + 3][word & 255] ^ tables[more + 2][word >> 8 & 255] ^
         tables[more + 1][word >> 16 & 255] ^ tables[more][word >> 24];
}

uint32_t fzri_crc32(const uint8_t *data, size_t len)
{
  uint32_t crc = 0xffffffffu;
  for (; len >= 8; len -= 8, data += 8)
    crc = step(crc ^ fzri_get_le32(data), 4) ^ step(fzri_get_le32(data + 4), 0);
  if (len >= 4) {
    crc = step(crc ^ fzri_get_le32(data), 0);
    len -= 4;
    data += 4;
  }
  while (len--)
    crc = crc >> 8 ^ tables[0][(crc ^ *data++) & 255];
  return ~crc;
}
