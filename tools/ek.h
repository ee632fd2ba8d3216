/*
 * What tpm2cloud ek shows: the certificates that the maker of the TPM left in it, read first, then judged, then printed.
 */
#ifndef TPM2CLOUD_TOOLS_EK_H
#define TPM2CLOUD_TOOLS_EK_H

#include "tpm2cloud/ek.h"
#include "tpm2cloud/ekcert.h"

/* One index of the TPM that holds a certificate of an endorsement key. */
struct ek_cert {
    const struct t2c_identity_slot *slot;
    STACK_OF(X509) *certs; /* the certificate, and what else lies in that index; NULL: damaged */
    struct t2c_ekcert about;
    struct t2c_error bad; /* not OK: why it is refused, or cannot be read */
    char key[32];         /* where the key is that it certifies; "" */
    char root[160];       /* what its chain ends at; "" */
};

struct ek {
    struct ek_cert certs[T2C_IDENTITY_SLOTS];
    size_t n;
    STACK_OF(X509) *chain; /* the CAs that the maker left in the TPM */
};

void ek_fini(struct ek *ek);

/* Reads them; one that is damaged has its reason. Errors: those of the TPM. */
bool ek_read(struct ek *out, struct t2c_error *err);

/* What is trusted: anchors, intermediates, and what a reader is told about where they are. */
struct ek_trust {
    STACK_OF(X509) *anchors, *intermediates;
    const char *where;
};

/*
 * Reads the anchors of ROOTS, or with NULL those of the directories that a device has for them, and INTERMEDIATES (may be
 * NULL), each a file or a directory. Gives: *out, to be released by ek_trust_fini in any case.
 */
bool ek_trust_read(const char *roots, const char *intermediates, struct ek_trust *out, struct t2c_error *err);
void ek_trust_fini(struct ek_trust *trust);

/* Judges CERT: its chain first, then whether this TPM has its key, both halves. */
void ek_judge(const struct ek *ek, struct ek_cert *cert, const struct ek_trust *trust, int64_t now_s);

bool ek_print(const struct ek *ek, struct t2c_error *err);
void ek_print_verdicts(const struct ek *ek);
/* JUDGED: with the verdicts. */
bool ek_print_json(const struct ek *ek, bool judged, struct t2c_error *err);

#endif
