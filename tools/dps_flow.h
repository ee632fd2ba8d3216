/*
 * A registration as a state machine. Pure: an answer and the time in, what is done next and when out.
 */
#ifndef TPM2CLOUD_TOOLS_DPS_FLOW_H
#define TPM2CLOUD_TOOLS_DPS_FLOW_H

#include "dps_answer.h"

enum dps_step {
    DPS_REGISTER, /* with what was proven, if anything */
    DPS_PROVE,    /* open the challenge that came */
    DPS_POLL,     /* by operation */
    DPS_FINISH    /* the answer is the result */
};

struct dps_flow {
    enum dps_step next;
    int64_t wait_ms; /* before that */
    /* ---- */
    bool tpm, proven;
    int64_t end_ms, limit_s;
    unsigned failures; /* in a row that may pass */
};

/* LIMIT_S: for all of it. Times are of a clock that nobody sets. */
void dps_flow_start(struct dps_flow *flow, bool tpm, int64_t limit_s, int64_t now_ms);

/* The challenge was opened. */
void dps_flow_proved(struct dps_flow *flow);

/* What came with an answer, and what is needed to judge it. */
struct dps_news {
    const struct dps_answer *answer; /* NULL: there is none, because of */
    const struct t2c_error *broken;
    int64_t retry_after_s; /* -1: none */
    int64_t ahead_s;       /* by how much the server's clock is ahead of ours; 0 where that is not known */
    uint32_t random;
    int64_t now_ms;
};

/*
 * Goes on with NEWS. *again (may be NULL): tells why, when the same is tried again. Errors: it is over, and what is to be done
 * about it: AUTH, NOT_FOUND, INVALID, PROTO; RETRY when the time was too short.
 */
bool dps_flow_go_on(struct dps_flow *flow, const struct dps_news *news, struct t2c_error *again, struct t2c_error *err);

#endif
