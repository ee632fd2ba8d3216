/*
 * What DPS answers. Pure: a status and a body in, what they mean out.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_ANSWER_H
#define TPM2CLOUD_TOOLS_DPS_ANSWER_H

#include "tpm2cloud/bytes.h"
#include "tpm2cloud/sas.h"

#define DPS_ANSWER_MAX 65536 /* bytes of a body */

enum dps_kind {
    DPS_CHALLENGE, /* 401 with a key that the TPM is to open */
    DPS_ASSIGNING, /* ask again by operation */
    DPS_ASSIGNED,
    DPS_FAILED,  /* registered in vain: failed, disabled, unassigned */
    DPS_REFUSED, /* any other status of 3xx and 4xx */
    DPS_BUSY     /* 429 and 5xx: it may pass */
};

struct dps_answer {
    enum dps_kind kind;
    long status;         /* of HTTP */
    char operation[129]; /* ASSIGNING */
    /* ASSIGNED */
    char hub[T2C_SAS_HOST_MAX], device[T2C_SAS_ID_MAX], substatus[64];
    struct t2c_bytes key; /* the challenge, or when ASSIGNED the hub's key; empty: none */
    /* the server's words: FAILED, REFUSED, BUSY; "" and 0 where it says nothing */
    char state[32];
    int64_t code;
    char message[256], tracking[64];
};
void dps_answer_fini(struct dps_answer *answer);

/* Says whether what the server answers with STATUS of HTTP may pass, whatever else is in its answer. */
bool dps_status_may_pass(long status);

/*
 * Reads the BODY that came with STATUS. A body that says who must do what is JSON without members that are there twice; one
 * that comes with an error may be anything, and then says nothing; damaged JSON may come with what passes alone. Errors: PROTO, what is
 * wrong with it.
 */
bool dps_answer_read(long status, const void *body, size_t body_len, struct dps_answer *out, struct t2c_error *err);

/* Writes what the server says, as `"Unauthorized" (HTTP 401, errorCode 401002, trackingId 4f...)`, into OUT. Gives OUT. */
char *dps_answer_words(const struct dps_answer *answer, char *out, size_t out_len);

#endif
