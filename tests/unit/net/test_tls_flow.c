/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of records: the secrets of TLS 1.3 and its records against the traces of RFC 8448 and against another implementation, padding, each bit of a
 * record, and numbers up to the last one. */
#include "net/tls.h"
#include "net/tls_flow.h"
#include "testing.h"

#include <stdio.h>

static const net_aead_kind kinds[] = {NET_AEAD_AES_128_GCM, NET_AEAD_AES_256_GCM, NET_AEAD_CHACHA20_POLY1305};

static uint8_t data[NET_TLS_RECORD + 512], record[NET_TLS_RECORD + 1024];

static size_t from_hex(const char *hex, uint8_t *out)
{
  const size_t len = strlen(hex) / 2;
  for (size_t i = 0; i < len; i++)
    ck_assert_int_eq(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
  return len;
}

static void fill(void)
{
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)i;
}

/* Opens the |whole| bytes of |record|. */
static ssize_t open_record(net_tls_flow *f, size_t whole, uint8_t *type)
{
  return net_tls_flow_open(f, record, record + NET_TLS_HEADER, whole - NET_TLS_HEADER, type);
}

/* ---- secrets ---- */

/* RFC 8448 section 3: keys of the handshake and of the data, of both sides. */
START_TEST(test_trace_keys)
{
  static const char *const cases[][3] = {{"b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21",
                                          "dbfaa693d1762c5b666af5d950258d01", "5bd3c71b836e0b76bb73265f"},
                                         {"b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38",
                                          "3fce516009c21727d0f2e4e86ee403bc", "5d313eb2671276ee13000b30"},
                                         {"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
                                          "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
                                         {"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
                                          "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"}};
  uint8_t secret[NET_TLS_SECRET_MAX], key[NET_AEAD_KEY_MAX], nonce[NET_AEAD_NONCE], made[NET_AEAD_KEY_MAX];
  ck_assert_uint_eq(from_hex(cases[_i][0], secret), net_tls_secret_len(NET_AEAD_AES_128_GCM));
  const size_t key_len = from_hex(cases[_i][1], key);
  from_hex(cases[_i][2], nonce);
  ck_assert(net_tls_secret_expand(NET_AEAD_AES_128_GCM, secret, "key", made, key_len));
  ck_assert_mem_eq(made, key, key_len);
  ck_assert(net_tls_secret_expand(NET_AEAD_AES_128_GCM, secret, "iv", made, sizeof nonce));
  ck_assert_mem_eq(made, nonce, sizeof nonce);
  net_tls_flow f;
  ck_assert(net_tls_flow_begin_13(&f, NET_AEAD_AES_128_GCM, secret));
  ck_assert_mem_eq(net_aead_key(f.aead), key, key_len);
  ck_assert_mem_eq(f.nonce, nonce, sizeof nonce);
  net_tls_flow_end(&f);
}
END_TEST

/* Secrets after updates, and the first two records of each: of 40 bytes, 0 to 39. What was made of the first secret by Python's cryptography 38. */
static const struct chain {
  net_aead_kind kind;
  struct {
    const char *secret, *records[2];
  } steps[3];
} chains[] = {
    {NET_AEAD_AES_128_GCM,
     {{"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
       {"1703030039a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a207b04ba74f8"
        "8ac3df7f8e1f"
        "e8a34598c555",
        "1703030039c886308a5b8f559cffae23cee9a600a660ffe792baada4809cbb3b18169d7ff55262898a6c0f7f8dd49a2f3db3"
        "5583ed66d2bd"
        "8edf9881333c"}},
      {"fcdfcc72725aaee48bf64e4fd8b749cdbdbab39d90da0b26e2245ca6ea167207",
       {"170303003908dab385c781c25090659835dd8d7c1d003c6ec2e6a058caf903c16580776a1b2ab63e00cdedf2c52b3eb2cbb6"
        "9ec62f0a18d5"
        "2a26f2f9a01c",
        "1703030039746ed3c6885b552eff4b2af9be394cbf0a27ef04b783846123b273fa6773e6eab3482b8f77a81a2d9fa34174c1"
        "5015d1ab6f6e"
        "f30c53c0ed0e"}},
      {"68474fe58c172143d0a009a76edd231b0d934f3058588ea0852662279e54a573",
       {"1703030039b8da86f0b4519f9e4534ad85de0a582f13538bf434e23db8fe109c26eed43b27d6d3ba22f9b19373efab8ca401"
        "9d50817629ce"
        "096419b3a709",
        "1703030039bc6eb3056f3952bb3ba658653cd6620c089cc0a1dddb42867b5557595ee6d306f5e2f3945db0363c9220d46c5c"
        "38d6c91a8c19"
        "a1fa0b3f2a9c"}}}},
    {NET_AEAD_AES_256_GCM,
     {{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f",
       {"170303003948367d3f1108b08299cd5fedf3577a5ad5cbaf77a508fec38da5043a10a17591aca668892875dc0cfc69d34783"
        "c682a26a7597"
        "f9b54b857c27",
        "17030300399d107bf3c04b0b2e5c55d0d0a440239fc3d8ed206fabbc5cb3965d5abb62a67063d64ffca525131612e0ce4576"
        "8c15a3500592"
        "745a8752d0e0"}},
      {"401331b63e9d59f202e8f041042d9516f4cd7fa2e2ee14631d3b49fc340d7af37fc2c0c9f252d8036f81ec5b85cbe5db",
       {"17030300392c94a18483039971a2c635db45ddb005b36c211a51c553eda5f85efae675f3fea821dfe75bd597cc35c82b23e0"
        "9c0490d091bc"
        "d8ead1247123",
        "1703030039ce89144da90537103bb65a3936e3ca6d9e79e135d803370559e3fc0b24450cebdd025d42f55c975568f7002ffe"
        "998207adf500"
        "a35c95907f57"}},
      {"1fed39ab8257f49d1c0c45bfbf71ffa8525b22ea44fdbbe0f7dfff32ea98fa53864320d595ea4ab13a8292965996db9b",
       {"17030300395779bc83d73f6daafecddd06a3d490b14d734b8e9e743127eb2e912f71b5bfc6f562e4e0ccf331d751ade35d7c"
        "41be395d9840"
        "231d5609417d",
        "170303003987daef52405de66b1bd6f73cd7abf71d435438eda0260e8d028d4c3470ae6c58bd72ad53a8a2ff848456263e06"
        "cc7723cbdf2b"
        "69fe8abee0bd"}}}},
    {NET_AEAD_CHACHA20_POLY1305,
     {{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
       {"1703030039b2af69fd0370bce6e76492cfb7f8401795fa1a4546c7bfed20d89ad12bc2ac1576aa515580763391bb6d70a70a"
        "5d4b1754651c"
        "7f29095636b4",
        "17030300390bb437d98329c5d48602351376b97ce5d867b483e6878ea64f17c1d7badc86f25f9cd4f24f1c30b5592c9eec82"
        "9effc3d23ee0"
        "57e8fd77cfcc"}},
      {"2cecd0a17506ef5fa73edc062d6e7b5397cf074ec1b4d8f99a120772932f0b45",
       {"1703030039120a33f836a4c09640c4fee976946fbdb7a54feaad5286a3f53fba5dfc3d397ae96db069acd3ae98bbfa2b0fe2"
        "c747525b5add"
        "9817f1cc863e",
        "170303003968bb4347d0f15c56523e3b4bdb6d931d1a68b0af64df4dc06c161b0cdafa620b14faf0bb5580d68a9d85141358"
        "5b1274735fde"
        "d5cdb7e9e4b0"}},
      {"2d3fb1fe267c2e0126351cc169afb7ca25c0d8867167c55c5533e3715558a6b9",
       {"17030300393d06eabee33370c08d6e0178c78a142d5e1c811b892426f0b34cd2cb03ff6609fe615bd9e690743f2610176f66"
        "bab8464c62c3"
        "1fe4576fa112",
        "17030300392cc69a7a4db0330f75200739306241be6b653ee0a88e3fa94e5181efe0d9dfb076a49cb622fbc4eaadf8a0c3fa"
        "efed848c8bc4"
        "8ec7e0f086da"}}}}};

START_TEST(test_updates)
{
  const struct chain *chain = &chains[_i];
  uint8_t secret[NET_TLS_SECRET_MAX], right[128];
  net_tls_flow f;
  fill();
  for (unsigned step = 0; step < 3; step++) {
    const size_t len = from_hex(chain->steps[step].secret, secret);
    ck_assert_uint_eq(len, net_tls_secret_len(chain->kind));
    ck_assert(step ? net_tls_flow_update(&f) : net_tls_flow_begin_13(&f, chain->kind, secret));
    ck_assert_mem_eq(f.secret, secret, len);
    for (unsigned i = 0; i < 2; i++) {
      ck_assert_uint_eq(f.number, i);
      const size_t right_len = from_hex(chain->steps[step].records[i], right);
      ck_assert_uint_eq(net_tls_flow_seal(&f, NET_TLS_DATA, data, 40, record), right_len);
      ck_assert_mem_eq(record, right, right_len);
    }
  }
  net_tls_flow_end(&f);
}
END_TEST

/* ---- records ---- */

/* RFC 8448 section 3: what client and server send after the handshake. The server's first record, a ticket, is not among them. */
START_TEST(test_trace_records)
{
  static const char client[] = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
                    server[] = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
  static const struct {
    const char *secret;
    uint64_t number;
    uint8_t type;
    const char *record;
  } cases[] = {{client, 0, NET_TLS_DATA,
                "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a2044"
                "1e2b62974e1f5a"
                "6292a2977014bd1e3deae63aeebb21694915e4"},
               {server, 1, NET_TLS_DATA,
                "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a"
                "59a8fcc49c4bf2"
                "e5f0a21c0047c2abf332540dd032e167c2955d"},
               {client, 1, NET_TLS_ALERT, "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"},
               {server, 2, NET_TLS_ALERT, "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"}};
  static const uint8_t close_notify[] = {1, 0};
  uint8_t secret[NET_TLS_SECRET_MAX], right[128], type;
  net_tls_flow f;
  fill();
  const bool is_data = cases[_i].type == NET_TLS_DATA;
  const uint8_t *text = is_data ? data : close_notify;
  const size_t len = is_data ? 50 : sizeof close_notify, right_len = from_hex(cases[_i].record, right);
  from_hex(cases[_i].secret, secret);
  ck_assert(net_tls_flow_begin_13(&f, NET_AEAD_AES_128_GCM, secret));
  f.number = cases[_i].number;
  ck_assert_uint_eq(net_tls_flow_seal(&f, cases[_i].type, text, len, record), right_len);
  ck_assert_mem_eq(record, right, right_len);
  f.number = cases[_i].number;
  ck_assert_int_eq(open_record(&f, right_len, &type), (ssize_t)len);
  ck_assert_uint_eq(type, cases[_i].type);
  ck_assert_mem_eq(record + NET_TLS_HEADER, text, len);
  ck_assert_uint_eq(f.number, cases[_i].number + 1);
  net_tls_flow_end(&f);
}
END_TEST

/* Each version with each cipher. */
static void begin(net_tls_flow *f, int i)
{
  static const uint8_t secret[NET_TLS_SECRET_MAX] = {1, 2, 3};
  const net_aead_kind kind = kinds[i % 3];
  fill();
  ck_assert(i < 3 ? net_tls_flow_begin_13(f, kind, secret)
                  : net_tls_flow_begin_12(f, kind, secret, secret + NET_AEAD_KEY_MAX));
}

START_TEST(test_sizes)
{
  static const size_t sizes[] = {0, 1, 15, 16, 17, 1284, NET_TLS_RECORD};
  net_tls_flow out, in;
  uint8_t type;
  begin(&out, _i);
  begin(&in, _i);
  for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    const size_t whole = net_tls_flow_seal(&out, NET_TLS_HANDSHAKE, data, sizes[k], record),
                 body = whole - NET_TLS_HEADER;
    ck_assert_uint_le(body, sizes[k] + NET_TLS_OVERHEAD);
    ck_assert_uint_ge(body, net_tls_flow_least(&in));
    ck_assert_uint_le(body, net_tls_flow_most(&in));
    ck_assert_int_eq(open_record(&in, whole, &type), (ssize_t)sizes[k]);
    ck_assert_uint_eq(type, NET_TLS_HANDSHAKE);
    ck_assert_mem_eq(record + NET_TLS_HEADER, data, sizes[k]);
  }
  net_tls_flow_end(&out);
  net_tls_flow_end(&in);
}
END_TEST

/* Each bit of a record; of the length, it is the reader's to take as many bytes. */
START_TEST(test_changed)
{
  enum { LEN = 20 };
  net_tls_flow out, in;
  uint8_t type;
  begin(&in, _i);
  begin(&out, _i);
  const size_t whole = net_tls_flow_seal(&out, NET_TLS_DATA, data, LEN, record);
  for (size_t bit = 0; bit < whole * 8; bit++) {
    out.number = 0;
    net_tls_flow_seal(&out, NET_TLS_DATA, data, LEN, record);
    record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    /* TLS 1.2 authenticates a version and a length that the reader knows, not those that are there: it has to look at them. */
    if (in.version == NET_TLS_12 && bit / 8 >= 1 && bit / 8 <= 4)
      continue;
    ck_assert_msg(open_record(&in, whole, &type) == NET_TLS_CHANGED, "bit %zu", bit);
    ck_assert_uint_eq(in.number, 0);
  }
  /* Another record's number. */
  out.number = 1;
  net_tls_flow_seal(&out, NET_TLS_DATA, data, LEN, record);
  ck_assert_int_eq(open_record(&in, whole, &type), NET_TLS_CHANGED);
  net_tls_flow_end(&out);
  net_tls_flow_end(&in);
}
END_TEST

/* What TLS 1.3 has in a record, as it is: |len| bytes, type and padding among them. Returns the length of the whole. */
static size_t seal_inner(const net_tls_flow *f, const uint8_t *inner, size_t len)
{
  uint8_t nonce[NET_AEAD_NONCE], number[8];
  memcpy(nonce, f->nonce, sizeof nonce);
  net_tls_put_number(number, f->number, 8);
  for (unsigned i = 0; i < 8; i++)
    nonce[4 + i] ^= number[i];
  record[0] = NET_TLS_DATA;
  net_tls_put_number(record + 1, 0x0303, 2);
  net_tls_put_number(record + 3, len + NET_AEAD_TAG, 2);
  ck_assert(net_aead_seal(f->aead, nonce, record, NET_TLS_HEADER, inner, len, record + NET_TLS_HEADER,
                          record + NET_TLS_HEADER + len));
  return NET_TLS_HEADER + len + NET_AEAD_TAG;
}

START_TEST(test_padding)
{
  static const size_t lens[] = {0, 1, 100, NET_TLS_RECORD};
  net_tls_flow f;
  uint8_t inner[NET_TLS_RECORD + 256], type;
  begin(&f, _i);
  for (unsigned k = 0; k < sizeof lens / sizeof *lens; k++)
    for (size_t padding = 0; padding <= 200; padding++) {
      const uint64_t number = f.number;
      const size_t len = lens[k];
      memset(inner, 0, sizeof inner);
      memcpy(inner, data, len);
      inner[len] = NET_TLS_ALERT;
      const ssize_t n = open_record(&f, seal_inner(&f, inner, len + 1 + padding), &type);
      if (len + padding > NET_TLS_RECORD) {
        ck_assert_int_eq(n, NET_TLS_TOO_LONG);
        ck_assert_uint_eq(f.number, number);
        continue;
      }
      ck_assert_int_eq(n, (ssize_t)len);
      ck_assert_uint_eq(type, NET_TLS_ALERT);
      ck_assert_mem_eq(record + NET_TLS_HEADER, data, len);
    }
  memset(inner, 0, sizeof inner);
  for (size_t len = 0; len < 40; len++)
    ck_assert_int_eq(open_record(&f, seal_inner(&f, inner, len), &type), NET_TLS_NO_TYPE);
  ck_assert_int_eq(open_record(&f, seal_inner(&f, inner, NET_TLS_RECORD + 1), &type), NET_TLS_NO_TYPE);
  ck_assert_int_eq(open_record(&f, seal_inner(&f, inner, NET_TLS_RECORD + 2), &type), NET_TLS_TOO_LONG);
  net_tls_flow_end(&f);
}
END_TEST

/* No number comes twice: after the last one there is none. */
START_TEST(test_last_number)
{
  net_tls_flow out, in;
  uint8_t type;
  begin(&out, _i);
  begin(&in, _i);
  out.number = in.number = UINT64_MAX - 1;
  const size_t whole = net_tls_flow_seal(&out, NET_TLS_DATA, data, 10, record);
  ck_assert_int_eq(open_record(&in, whole, &type), 10);
  ck_assert_uint_eq(net_tls_flow_seal(&out, NET_TLS_DATA, data, 10, record), 0);
  ck_assert_int_eq(open_record(&in, whole, &type), NET_TLS_NO_NUMBER);
  ck_assert(out.number == UINT64_MAX && in.number == UINT64_MAX);
  net_tls_flow_end(&out);
  net_tls_flow_end(&in);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("tls_flow");
  TCase *tc = tcase_create("tls_flow");
  tcase_add_loop_test(tc, test_trace_keys, 0, 4);
  tcase_add_loop_test(tc, test_updates, 0, 3);
  tcase_add_loop_test(tc, test_trace_records, 0, 4);
  tcase_add_loop_test(tc, test_sizes, 0, 6);
  tcase_add_loop_test(tc, test_changed, 0, 6);
  tcase_add_loop_test(tc, test_padding, 0, 3);
  tcase_add_loop_test(tc, test_last_number, 0, 6);
  suite_add_tcase(suite, tc);
  return fzt_run(suite);
}
