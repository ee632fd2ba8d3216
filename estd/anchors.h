/*
 * Trust anchors and their rollover: which certificates of a /cacerts answer become anchors, which only help to build
 * chains, and which neither. Pure; the clock is a parameter. Spec: RFC 7030 4.1.1, 4.1.3; RFC 4210 4.4 names the four
 * certificates of a CA that changes its key.
 */
#ifndef ESTD_ANCHORS_H
#define ESTD_ANCHORS_H

#include "tpm2cloud/cert.h"

/* Sorted: self-signed CAs, which are trusted, and the rest, which are not. Both NULL: nothing. */
struct anchors {
    STACK_OF(X509) *roots;
    STACK_OF(X509) *others;
};

void anchors_fini(struct anchors *anchors);

/*
 * Sorts CERTS: CAs that signed themselves, as their signature shows, are roots; other CAs are others; what is no CA is left
 * out, and so are doubles. Errors: NOMEM.
 */
bool anchors_sort(const STACK_OF(X509) *certs, struct anchors *out, struct t2c_error *err);

/* Gives a new stack of references to all of ANCHORS, the roots first, or NULL without memory. */
STACK_OF(X509) *anchors_join(const struct anchors *anchors);

/* How the server that sent a bag was authenticated. */
enum anchors_way {
    ANCHORS_EXPLICIT, /* by anchors that are configured or were fetched before, or that a fingerprint named */
    ANCHORS_IMPLICIT  /* by those of the operating system */
};

struct anchors_update {
    const STACK_OF(X509) *present;    /* anchors so far and their helpers, configured and cached; NULL or empty: none */
    const STACK_OF(X509) *configured; /* those of present that stay anyway; NULL: none */
    const STACK_OF(X509) *bag;        /* what /cacerts answered */
    enum anchors_way way;
    const STACK_OF(X509) *server; /* the server's own chain, leaf first; NULL: not known, and not judged */
    int64_t now_s;
};

/*
 * Gives: *out, what is trusted beside the configured ones after the bag was taken in: the present roots and those of the
 * bag, without those that expired, and the bag's other CAs that verify by them. With the way implicit and roots present, a
 * new root counts only if one of them vouches for it (NewWithOld); with none present the bag is believed (RFC 7030 4.1.3).
 * A present root that the bag lacks stays until it expires: servers behind one name may not all have changed yet.
 * Gives: *changed (may be NULL), whether roots came or went.
 * Errors: PROTO: no root in the bag, none of its roots is in force or vouched for, or nothing would be left that verifies
 * the server, unless its way is implicit; nothing is to be changed then.
 */
bool anchors_merge(const struct anchors_update *update, struct anchors *out, bool *changed, struct t2c_error *err);

/*
 * Refuses a list of fingerprints that is not sha256:HEX[,sha256:HEX ...], HEX in either case, with or without colons
 * between the octets. Errors: INVALID.
 */
bool anchors_check_fingerprints(const char *list, struct t2c_error *err);

/* Says whether the SHA-256 of CERT's DER is in LIST. */
bool anchors_match(const char *list, const X509 *cert);

/*
 * The first bag of all, fetched from a server that nothing vouched for. Gives: *out, the roots of BAG that FINGERPRINTS
 * names, roots that those vouch for, and others that verify by them. SERVER: the chain of that very connection, leaf first;
 * it must verify by them, too. Errors: AUTH when no certificate of the bag has one of the fingerprints, or the one that has
 * is no self-signed CA; PROTO when SERVER does not verify.
 */
bool anchors_bootstrap(const STACK_OF(X509) *bag, const char *fingerprints, const STACK_OF(X509) *server, int64_t now_s,
    struct anchors *out, struct t2c_error *err);

/*
 * Gives when to fetch /cacerts again: EVERY_S after FETCHED_S, or when three quarters of the time to the first end of a
 * root have passed, whichever is first, but not before an hour after FETCHED_S.
 */
int64_t anchors_refresh_s(const struct anchors *anchors, int64_t fetched_s, int64_t every_s);

#endif
