/*
 * A table for each direction: the word for what is said, and the fields of its details.
 */
#include "tpm2cloud/message.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct kind {
    const char *word;
    const struct t2c_cbor_field *fields;
    size_t fields_n;
};

/* ---- [what, details] ---- */

static bool encode(const struct kind *kind, const void *details, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_cbor_put_array(out, 2, err) && t2c_cbor_put_text(out, kind->word, err) &&
        t2c_cbor_put_struct(out, kind->fields, kind->fields_n, details, err);
}

/* Reads up to the details. */
static bool decode_word(
    struct t2c_cbor *from, const struct kind *kinds, size_t kinds_n, size_t *out, struct t2c_error *err)
{
    char word[16];
    if (!t2c_cbor_read_array(from, 2, err) || !t2c_cbor_read_text(from, word, sizeof(word), err))
        return false;
    for (size_t i = 0; i < kinds_n; i++)
        if (strcmp(kinds[i].word, word) == 0) {
            *out = i;
            return true;
        }
    return t2c_fail(err, T2C_INVALID, "\"%s\" is not known", word);
}

/* ---- requests ---- */

static const struct t2c_cbor_field request_fields[] = {
    T2C_CBOR_FIELD(struct t2c_request, name, "name", T2C_CBOR_TEXT),
    T2C_CBOR_FIELD(struct t2c_request, now, "now", T2C_CBOR_BOOL),
};

/* The first fields of the table are as many as a kind has. */
static const struct kind requests[] = {
    [T2C_ASK_PING] = {"ping", request_fields, 0},
    [T2C_ASK_STATUS] = {"status", request_fields, 0},
    [T2C_ASK_RENEW] = {"renew", request_fields, 2},
    [T2C_ASK_ENROLL] = {"enroll", request_fields, 1},
    [T2C_ASK_WATCH] = {"watch", request_fields, 0},
    [T2C_ASK_RELOAD] = {"reload", request_fields, 0},
};

bool t2c_request_encode(const struct t2c_request *request, struct t2c_bytes *out, struct t2c_error *err)
{
    return encode(&requests[request->kind], request, out, err);
}

bool t2c_request_decode(struct t2c_cbor *from, struct t2c_request *out, struct t2c_error *err)
{
    struct t2c_request request = {0};
    size_t i = 0;
    if (!decode_word(from, requests, COUNT(requests), &i, err) ||
        !t2c_cbor_read_struct(from, requests[i].fields, requests[i].fields_n, &request, err))
        return false;
    if (requests[i].fields_n > 0 && request.name[0] == '\0')
        return t2c_cbor_refuse(from, "a request without a name ends", err);
    request.kind = (enum t2c_request_kind)i;
    *out = request;
    return true;
}

/* ---- replies ---- */

#define EVENT(member, kind) T2C_CBOR_FIELD(struct t2c_event, member, #member, kind)
#define DONE(member, kind) T2C_CBOR_FIELD(struct t2c_done, member, #member, kind)
#define REFUSAL(member, kind) T2C_CBOR_FIELD(struct t2c_refusal, member, #member, kind)

static const struct t2c_cbor_field certificate_fields[] = {
    T2C_CBOR_FIELD(struct t2c_certificate, state.name, "name", T2C_CBOR_TEXT),
    T2C_CBOR_FIELD(struct t2c_certificate, doing, "doing", T2C_CBOR_TEXT),
    {"record", T2C_CBOR_STRUCT, offsetof(struct t2c_certificate, state), T2C_STATE_FIELDS_N, t2c_state_fields},
};
const struct t2c_cbor_field t2c_event_fields[T2C_EVENT_FIELDS_N] = {
    EVENT(type, T2C_CBOR_TEXT),
    EVENT(name, T2C_CBOR_TEXT),
    EVENT(code, T2C_CBOR_TEXT),
    EVENT(alert, T2C_CBOR_BOOL),
    EVENT(at_s, T2C_CBOR_NUMBER),
    EVENT(next_s, T2C_CBOR_NUMBER),
    EVENT(not_after_s, T2C_CBOR_NUMBER),
    EVENT(lost, T2C_CBOR_NUMBER),
    EVENT(text, T2C_CBOR_TEXT),
};
static const struct t2c_cbor_field done_fields[] = {
    DONE(version, T2C_CBOR_TEXT),
    DONE(started_s, T2C_CBOR_NUMBER),
    DONE(now_s, T2C_CBOR_NUMBER),
};
static const struct t2c_cbor_field refusal_fields[] = {
    REFUSAL(code, T2C_CBOR_TEXT),
    REFUSAL(text, T2C_CBOR_TEXT),
};

static const struct kind replies[] = {
    [T2C_TELL_CERTIFICATE] = {"certificate", certificate_fields, COUNT(certificate_fields)},
    [T2C_TELL_EVENT] = {"event", t2c_event_fields, T2C_EVENT_FIELDS_N},
    [T2C_TELL_DONE] = {"done", done_fields, COUNT(done_fields)},
    [T2C_TELL_ERROR] = {"error", refusal_fields, COUNT(refusal_fields)},
};

bool t2c_reply_encode(const struct t2c_reply *reply, struct t2c_bytes *out, struct t2c_error *err)
{
    return encode(&replies[reply->kind], &reply->as, out, err);
}

bool t2c_reply_decode(struct t2c_cbor *from, struct t2c_reply *out, struct t2c_error *err)
{
    struct t2c_reply reply;
    size_t i = 0;
    memset(&reply, 0, sizeof(reply)); /* all of the union */
    if (!decode_word(from, replies, COUNT(replies), &i, err) ||
        !t2c_cbor_read_struct(from, replies[i].fields, replies[i].fields_n, &reply.as, err))
        return false;
    reply.kind = (enum t2c_reply_kind)i;
    *out = reply;
    return true;
}
