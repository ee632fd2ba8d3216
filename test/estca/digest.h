/* HTTP Digest (RFC 7616): qop=auth, with MD5 or SHA-256, and nonces that the server need not remember. */
#ifndef ESTCA_DIGEST_H
#define ESTCA_DIGEST_H

#include "bytes.h"
#include "fail.h"

#define DIGEST_REALM "estca"

enum digest_algorithm { DIGEST_MD5, DIGEST_SHA256 };

struct digest {
    enum digest_algorithm algorithm;
    struct bytes users; /* NAME NUL H(NAME:realm:PASSWORD) in hex NUL, one behind the other */
    uint8_t secret[32]; /* what nonces are made with */
};

void digest_fini(struct digest *digest);
bool digest_init(struct digest *digest, enum digest_algorithm algorithm, struct fail *err);

/* Let in the NAME:PASSWORD of LEN bytes at USER. */
bool digest_add_user(struct digest *digest, const char *user, size_t len, struct fail *err);

enum digest_answer {
    DIGEST_OK,
    DIGEST_STALE, /* right, but for a nonce that is too old */
    DIGEST_WRONG,
};

/* Judge AUTHORIZATION, the header's value or NULL, of a request of METHOD and TARGET. */
enum digest_answer digest_check(
    const struct digest *digest, const char *method, const char *target, const char *authorization);

/* Append the value of WWW-Authenticate, with a fresh nonce. */
void digest_add_challenge(const struct digest *digest, bool stale, struct bytes *out);

#endif
