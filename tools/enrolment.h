/*
 * A key's first certificate: from an EST server, by an estd that is run for this alone, or from a CA in files; and by the estd that keeps it
 * for life.
 */
#ifndef TPM2CLOUD_TOOLS_ENROLMENT_H
#define TPM2CLOUD_TOOLS_ENROLMENT_H

#include "estd.h"
#include "tpm2cloud/cert.h"
#include <limits.h>

/* Who vouches for the key. */
enum enrolment_how {
    ENROLMENT_SECRET, /* a header with a secret */
    ENROLMENT_BASIC,  /* a user and a password */
    ENROLMENT_MTLS,   /* the key and certificate of another NAME */
    ENROLMENT_CA      /* a CA of tpm2cloud ca init, in a directory */
};

/* Strings may be NULL where nothing is said. A source is "file:/PATH", "env:VAR" or "cred:ID": no secret stands here. */
struct enrolment {
    const char *name;
    const char *auth; /* source of its key's authorization value */
    const char *subject, *san, *eku;
    const char *profile; /* client, server or edge-ca; of ENROLMENT_CA: idevid or ldevid, by NAME unless set */
    enum enrolment_how how;
    const char *url;                       /* of the EST server; it and trust for all but ENROLMENT_CA */
    const char *trust, *trust_fingerprint; /* a PEM file or "system"; sha256:HEX; one of the two */
    const char *header, *secret;           /* "Secret-Value", and a source */
    const char *user, *password, *method;  /* a name, a source, and basic (unless set), digest or any */
    const char *by, *by_auth;              /* another NAME, and the source of its authorization value */
    const char *ca;                        /* a directory */
    bool force;                            /* even where a certificate is in force */
};

/* What became of it. */
struct enrolment_end {
    bool exists;           /* what was wanted was there already: nothing was asked for, nothing written */
    bool kept;             /* the answer was there, from a run that was interrupted */
    char where[PATH_MAX];  /* it is stored, or was found; for messages */
    STACK_OF(X509) *chain; /* leaf first */
};
void enrolment_end_fini(struct enrolment_end *end);

/*
 * Gets a certificate for the key of NAME, which must exist, and stores it as `cert import` does. Of a run that was killed the next one takes
 * the answer, if it had come: what is asked for is in STATE/enroll/NAME meanwhile, STATE being where the certificate directory is. Where a
 * certificate of that key is in force that has the names of SUBJECT, nothing is done, unless force.
 * Errors: NOT_FOUND without the key; EXISTS when the TPM holds another certificate; else as the server or CA says. What was
 * there before stays.
 */
bool enrolment_run(const struct enrolment *enrolment, struct enrolment_end *end, struct t2c_error *err);

/* Says whether a run for NAME was interrupted, and left something; and removes that, when the certificate is stored. */
bool enrolment_is_begun(const char *name);
bool enrolment_tidy(const char *name, struct t2c_error *err);

/*
 * Has the certificate NAME of estd's configuration enrolled: by the estd that runs, which reads its configuration again before with RELOAD,
 * else by one that is run for this alone, as the user to whom its state belongs. Tells on stderr what happens.
 * ANEW: even if it is in force. Gives: TEXT, how it ended.
 */
#define ENROLMENT_TEXT_MAX 768
bool enrolment_by_estd(const struct estd_place *place, const char *name, bool reload, bool anew,
    char text[ENROLMENT_TEXT_MAX], struct t2c_error *err);

#endif
