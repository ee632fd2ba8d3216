/*
 * What a job trusts: the configured file and what was fetched before, or the operating system; and how that grows by what
 * the server says of its CA.
 */
#ifndef ESTD_TRUSTED_H
#define ESTD_TRUSTED_H

#include "anchors.h"
#include "config.h"

struct trusted {
    const struct config_cert *cert;
    bool system;                /* the server is judged by the operating system's anchors */
    STACK_OF(X509) *configured; /* of the file, or none */
    struct anchors fetched;     /* beside these */
    STACK_OF(X509) *all;        /* both, and what helps to build chains */
    bool changed;               /* fetched is not what the cache has */
};

void trusted_fini(struct trusted *trusted);

/*
 * Reads the file of CERT and the cache below STATE_DIR. Gives: *out; what is wrong with the cache is appended to WARNINGS.
 * Errors: as t2c_cert_read_file and trust_load; INVALID for a file without a root.
 */
bool trusted_load(const struct config_cert *cert, const char *state_dir, struct trusted *out,
    struct t2c_bytes *warnings, struct t2c_error *err);

/* Says whether there is nothing yet that a server could be judged by. */
bool trusted_is_blank(const struct trusted *trusted);

/*
 * Begins with BAG, fetched from a server that nobody vouched for and that showed SERVER, by the configured fingerprints.
 * Errors: as anchors_bootstrap.
 */
bool trusted_begin(struct trusted *trusted, const STACK_OF(X509) *bag, const STACK_OF(X509) *server, int64_t now_s,
    struct t2c_error *err);

/*
 * Takes in BAG, from a server that was judged and that showed SERVER (NULL: not known). A bag that changes what is trusted
 * in a way that cannot be followed is appended to WARNINGS, and only helps to build chains. Errors: as anchors_merge, when
 * nothing is trusted without it.
 */
bool trusted_update(struct trusted *trusted, const STACK_OF(X509) *bag, const STACK_OF(X509) *server, int64_t now_s,
    struct t2c_bytes *warnings, struct t2c_error *err);

#endif
