/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file auth.h
 * Long-term credentials (RFC 8489 section 9.2): the schemes an engine can check, and how to make
 * credentials that they accept.
 */
#ifndef FIREZONE_RELAY_AUTH_H
#define FIREZONE_RELAY_AUTH_H

#include "error.h"
#include "stun.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** "For ever", as an expiry in unix seconds. */
#define FZR_NO_EXPIRY UINT64_MAX

/** The schemes: what usernames look like, and where passwords come from. */
enum fzr_auth_kind {
  /** Not set: fzr_engine_new refuses it. */
  FZR_AUTH_NONE = 0,
  /** "{expiry}:{salt}", password of a shared secret by SHA-256: Firezone's. */
  FZR_AUTH_STAMP = 1,
  /** A table of users and passwords, which may also stand beside FZR_AUTH_REST. */
  FZR_AUTH_STATIC = 2,
  /** "{expiry}:{name}", password of a shared secret by HMAC-SHA1: coturn's REST API. */
  FZR_AUTH_REST = 3,
  /** Ask the application. */
  FZR_AUTH_CALLBACK = 4
};

/** What a scheme says of a username. */
enum fzr_auth_result {
  /** The key is filled in; whether the request was made with it, the engine checks. */
  FZR_AUTH_OK = 0,
  /** The key is filled in, but its time is over: 401. */
  FZR_AUTH_EXPIRED = 1,
  /** Malformed username or no such user: 401. */
  FZR_AUTH_UNKNOWN = 2
};

/**
 * By what a long-term key is made of a password. The numbers are those of RFC 8489 section 18.5.
 */
enum fzr_password_algorithm {
  /** Keys of 16 bytes: what all clients know. */
  FZR_PASSWORD_MD5 = 1,
  /** Keys of 32 bytes. */
  FZR_PASSWORD_SHA256 = 2
};

/**
 * What a server offers, in the nonce, to clients that know of it (RFC 8489 section 9.2): bits of
 * its 24 STUN security features. Bit 0 is the highest (section 18.1).
 */
enum fzr_security_feature {
  /** Bit 0: it sends PASSWORD-ALGORITHMS. */
  FZR_FEATURE_PASSWORD_ALGORITHMS = 0x800000,
  /** Bit 1: clients send USERHASH in place of USERNAME. */
  FZR_FEATURE_USERNAME_ANONYMITY = 0x400000
};

/** The key of a username and how the engine may use it. */
typedef struct fzr_auth_key {
  /** What fzr_auth_long_term_key makes of user, realm and password. */
  uint8_t key[FZR_STUN_KEY_MAX];
  /** Its length in bytes: what fzr_auth_long_term_key has returned. */
  uint8_t key_len;
  /** The enum fzr_password_algorithm that it was made by. */
  uint8_t algorithm;
  /**
   * Sign also a 401 or 438, if the request's MESSAGE-INTEGRITY was made with this key. All other
   * errors then are signed anyway, and nothing is for a sender who has not shown that he knows the
   * key. Firezone's clients need it. Others do not expect it (RFC 8489 section 9.2.5), and some
   * take such an answer for a forgery.
   */
  bool sign_unauthenticated;
  /** It comes as 0; leave it so. This release does not look at it. */
  uint8_t reserved[5];
  /** Unix seconds, after which the answer is 401; FZR_NO_EXPIRY if it never is. */
  uint64_t expires;
} fzr_auth_key;

/**
 * Whose key the engine asks for. The pointers are the engine's, valid during the call only. The
 * struct will not grow: what is to come takes reserved bytes, which are 0 now.
 */
typedef struct fzr_auth_request {
  /** As it came off the network: UTF-8, at most 508 bytes, not zero-terminated. */
  const uint8_t *username;
  /** How many bytes it has. */
  size_t username_len;
  /** The engine's realm, zero-terminated. */
  const char *realm;
  /** The time as the engine knows it, in unix seconds. */
  uint64_t unix_now;
  /**
   * The enum fzr_password_algorithm to make the key by. Of clients that know RFC 8489 it is
   * FZR_PASSWORD_SHA256, unless `md5_keys_only` is set in the configuration.
   */
  uint8_t algorithm;
  /** The library writes 0. */
  uint8_t reserved[31];
} fzr_auth_request;

/**
 * Looks up the key that |request| asks for. |ctx| is the `auth_ctx` of the configuration. Fills all
 * of |out|, the engine's, which comes zeroed. FZR_AUTH_OK of a key whose time is over counts as
 * FZR_AUTH_EXPIRED. A key by another algorithm than the one that was asked for, or not of its
 * length, counts as FZR_AUTH_UNKNOWN. Must not block and not call into the engine. A result is used
 * for this one request.
 */
typedef enum fzr_auth_result (*fzr_auth_fn)(void *ctx, const fzr_auth_request *request,
                                            fzr_auth_key *out);

/** A user with a password of his own. It begins all zero. */
typedef struct fzr_user {
  /**
   * Zero-terminated, 1 to 508 bytes: a request can carry no more. Requests are refused whose
   * username is not UTF-8, so nobody can log in by such a name. Beside FZR_AUTH_REST it must not
   * look like a name of that scheme: digits, alone or before a colon.
   */
  const char *username;
  /** Zero-terminated, 1 byte or more; NULL: there is `key`. */
  const char *password;
  /**
   * In place of the password the FZR_STUN_KEY_LEN bytes that fzr_auth_long_term_key makes of user,
   * realm and password by FZR_PASSWORD_MD5, for those who do not keep passwords. NULL: there is a
   * password.
   */
  const uint8_t *key;
} fzr_user;

/** Length of a stamp password: base64 without padding of 32 bytes. */
#define FZR_STAMP_PASSWORD_LEN 43u
/** Length of a REST password: base64 with padding of 20 bytes. */
#define FZR_REST_PASSWORD_LEN 28u

/**
 * `fzr_auth_long_term_key` computes the digest |algorithm| of username ":" realm ":" password into
 * |key| (RFC 8489 section 9.2.2). |username| has |username_len| bytes; |realm| and |password| are
 * zero-terminated. |key| is the caller's, with room for FZR_STUN_KEY_LEN bytes by MD5 and for
 * FZR_STUN_KEY_MAX by SHA-256.
 *
 * Returns the length of the key, 16 or 32, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL, or |algorithm| is none. Mend the call.
 */
FZR_API int fzr_auth_long_term_key(enum fzr_password_algorithm algorithm, const uint8_t *username,
                                   size_t username_len, const char *realm, const char *password,
                                   uint8_t *key);

/**
 * `fzr_auth_userhash` computes the FZR_STUN_USERHASH_LEN bytes of a USERHASH, the SHA-256 of
 * username ":" realm, into |out|, the caller's. |username| has |username_len| bytes; |realm| is
 * zero-terminated. RFC 8489 section 14.4.
 *
 * Returns 0, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 */
FZR_API int fzr_auth_userhash(const uint8_t *username, size_t username_len, const char *realm,
                              uint8_t out[FZR_STUN_USERHASH_LEN]);

/**
 * `fzr_auth_nonce_features` returns what the |len| bytes |nonce|, the value of a NONCE, say that
 * their server offers. It is bits of enum fzr_security_feature, and others of the 24. It is 0 also
 * where the nonce does not begin with the cookie of RFC 8489 section 9.2. For clients.
 */
FZR_API uint32_t fzr_auth_nonce_features(const uint8_t *nonce, size_t len);

/**
 * `fzr_auth_stamp_password` computes the stamp scheme's password: base64 without padding of
 * SHA-256("{expiry}:{secret}:{salt}"). It is of the zero-terminated |secret|, the unix time
 * |expiry| in seconds and the |salt_len| bytes |salt|. It goes, zero-terminated, into the |cap|
 * bytes at |out|.
 *
 * Returns FZR_STAMP_PASSWORD_LEN, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_BUFFER_TOO_SMALL: |cap| is less than FZR_STAMP_PASSWORD_LEN + 1. Give it more room.
 */
FZR_API int fzr_auth_stamp_password(const char *secret, uint64_t expiry, const uint8_t *salt,
                                    size_t salt_len, char *out, size_t cap);

/**
 * `fzr_auth_rest_password` computes base64(HMAC-SHA1(secret, username)) for the zero-terminated
 * |secret| and the |username_len| bytes |username| ("{expiry}:{name}"). It goes, zero-terminated,
 * into the |cap| bytes at |out|.
 *
 * Returns FZR_REST_PASSWORD_LEN, or
 * - FZR_ERR_INVALID_ARGUMENT: a pointer is NULL. Mend the call.
 * - FZR_ERR_BUFFER_TOO_SMALL: |cap| is less than FZR_REST_PASSWORD_LEN + 1. Give it more room.
 */
FZR_API int fzr_auth_rest_password(const char *secret, const uint8_t *username, size_t username_len,
                                   char *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
