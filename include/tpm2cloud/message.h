/*
 * What is said over estd's socket: requests to it, replies and events from it, each a CBOR array [what, details], one
 * behind the other (RFC 8742). docs/control.cddl has them all. Pure.
 */
#ifndef TPM2CLOUD_MESSAGE_H
#define TPM2CLOUD_MESSAGE_H

#include "tpm2cloud/state.h"

#define T2C_ESTD_SOCKET "/run/tpm2cloud/estd.sock"

/* Longer ones are refused. */
#define T2C_REQUEST_MAX 1024
#define T2C_REPLY_MAX 4096

/* ---- requests ---- */

enum t2c_request_kind {
    T2C_ASK_PING,   /* is it there? */
    T2C_ASK_STATUS, /* T2C_TELL_CERTIFICATE for each, then T2C_TELL_DONE */
    T2C_ASK_RENEW,  /* the certificate NAME now; NOW: even while it waits after a failure */
    T2C_ASK_ENROLL, /* the certificate NAME anew, as if there were none */
    T2C_ASK_WATCH,  /* T2C_TELL_EVENT for all that happens, until the connection is closed */
    T2C_ASK_RELOAD  /* the configuration */
};

struct t2c_request {
    enum t2c_request_kind kind;
    char name[T2C_STATE_NAME_MAX + 1];
    bool now;
};

bool t2c_request_encode(const struct t2c_request *request, struct t2c_bytes *out, struct t2c_error *err);
/* Reads the next request. Errors: INVALID; from->cut then tells whether it may be complete with more bytes. */
bool t2c_request_decode(struct t2c_cbor *from, struct t2c_request *out, struct t2c_error *err);

/* ---- replies and events ---- */

enum t2c_reply_kind {
    T2C_TELL_CERTIFICATE,
    T2C_TELL_EVENT,
    T2C_TELL_DONE, /* the request is carried out, or taken up */
    T2C_TELL_ERROR /* it is not */
};

struct t2c_certificate {
    char doing[16]; /* looking, waiting, asking or placing */
    struct t2c_state_entry state;
};

struct t2c_event {
    char type[24];                     /* "renewed", "failed", ...: docs/control.md */
    char name[T2C_STATE_NAME_MAX + 1]; /* of the certificate; "": of estd */
    char code[16];                     /* as t2c_code_name has it; "": no failure */
    bool alert;                        /* a human should look at once */
    int64_t at_s;
    int64_t next_s;      /* when the next step is due, 0: none */
    int64_t not_after_s; /* of the certificate it is about, 0: none */
    uint64_t lost;       /* events before this one that the reader was too slow for */
    char text[768];
};

#define T2C_EVENT_FIELDS_N 9
extern const struct t2c_cbor_field t2c_event_fields[T2C_EVENT_FIELDS_N];

struct t2c_done {
    char version[32]; /* of estd */
    int64_t started_s, now_s;
};

struct t2c_refusal {
    char code[16];
    char text[640];
};

struct t2c_reply {
    enum t2c_reply_kind kind;
    union {
        struct t2c_certificate certificate;
        struct t2c_event event;
        struct t2c_done done;
        struct t2c_refusal refusal;
    } as;
};

bool t2c_reply_encode(const struct t2c_reply *reply, struct t2c_bytes *out, struct t2c_error *err);
/* As t2c_request_decode. */
bool t2c_reply_decode(struct t2c_cbor *from, struct t2c_reply *out, struct t2c_error *err);

#endif
