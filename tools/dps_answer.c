/*
 * Only what the answer is needed for is looked at, since the service adds members as it likes. What is used further is
 * checked for what it may be: an operation for a URL, hub and device for other programs.
 */
#include "dps_answer.h"

#include "tpm2cloud/text.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_LETTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

T2C_DEFINE_FREEP(json_freep, json_t, json_decref)

void dps_answer_fini(struct dps_answer *answer)
{
    t2c_bytes_fini(&answer->key);
    *answer = (struct dps_answer){0};
}

bool dps_status_may_pass(long status)
{
    return status == 429 || status >= 500;
}

/* ---- members ---- */

static bool fail_member(const char *name, const char *what, struct t2c_error *err)
{
    return t2c_fail(err, T2C_PROTO,
        "the server's answer has %s %s; what answers is no DPS, or speaks another version of its "
        "protocol: check --endpoint and --api-version",
        what, name);
}

/* Copies the text NAME of OBJECT, if it has one; what is not clean becomes '?'. */
static void copy_words(const json_t *object, const char *name, char *out, size_t out_len)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (text != NULL)
        t2c_text_copy(out, out_len, text);
}

/* Copies the text NAME of OBJECT, which must be there and have these CHARACTERS alone. */
static bool copy_exact(
    const json_t *object, const char *name, const char *characters, char *out, size_t out_len, struct t2c_error *err)
{
    const json_t *member = json_object_get(object, name);
    const char *text = json_string_value(member);
    if (text == NULL)
        return fail_member(name, "no", err);
    size_t len = json_string_length(member);
    if (len == 0 || len >= out_len || strspn(text, characters) != len)
        return fail_member(name, "an unusable", err);
    memcpy(out, text, len + 1);
    return true;
}

/* Appends what the base64 text NAME of OBJECT is; nothing when there is none. */
static bool copy_key(const json_t *object, const char *name, struct t2c_bytes *out, struct t2c_error *err)
{
    const json_t *member = json_object_get(object, name);
    if (member == NULL || json_is_null(member))
        return true;
    return (json_is_string(member) &&
               t2c_bytes_unbase64(out, json_string_value(member), json_string_length(member), NULL) && out->len > 0) ||
        fail_member(name, "an unusable", err);
}

/* ---- kinds ---- */

/* Whatever members say it: some parts of the service name them otherwise. */
static void copy_error(const json_t *object, struct dps_answer *out)
{
    const json_t *code = json_object_get(object, "errorCode");
    if (json_is_integer(code))
        out->code = json_integer_value(code);
    copy_words(object, "message", out->message, sizeof(out->message));
    copy_words(object, "errorMessage", out->message, sizeof(out->message));
    copy_words(object, "trackingId", out->tracking, sizeof(out->tracking));
}

static bool read_assigned(const json_t *state, struct dps_answer *out, struct t2c_error *err)
{
    out->kind = DPS_ASSIGNED;
    copy_words(state, "substatus", out->substatus, sizeof(out->substatus));
    return copy_exact(state, "assignedHub", DIGITS_LETTERS "-.:_", out->hub, sizeof(out->hub), err) &&
        copy_exact(state, "deviceId", DIGITS_LETTERS "-.+%_#*?!(),:=@$'", out->device, sizeof(out->device), err) &&
        copy_key(json_object_get(state, "tpm"), "authenticationKey", &out->key, err);
}

static bool read_success(const json_t *root, struct dps_answer *out, struct t2c_error *err)
{
    const json_t *state = json_object_get(root, "registrationState");
    const char *status = json_string_value(json_object_get(root, "status"));
    if (status == NULL || strcmp(status, "assigning") == 0) {
        out->kind = DPS_ASSIGNING;
        return copy_exact(root, "operationId", DIGITS_LETTERS "-._", out->operation, sizeof(out->operation), err);
    }
    if (strcmp(status, "assigned") == 0)
        return read_assigned(state, out, err);
    out->kind = DPS_FAILED;
    t2c_text_copy(out->state, sizeof(out->state), status);
    copy_error(state, out);
    return true;
}

static bool read_failure(const json_t *root, struct dps_answer *out, struct t2c_error *err)
{
    copy_error(root, out);
    out->kind = dps_status_may_pass(out->status) ? DPS_BUSY : DPS_REFUSED;
    if (out->status != 401)
        return true;
    if (!copy_key(root, "authenticationKey", &out->key, err))
        return false;
    if (out->key.len > 0)
        out->kind = DPS_CHALLENGE;
    return true;
}

/* NULL for what is no JSON object. */
static json_t *parse(const void *body, size_t body_len, json_error_t *why)
{
    json_t *root = json_loadb(body_len > 0 ? body : "", body_len, JSON_REJECT_DUPLICATES, why);
    if (root == NULL || json_is_object(root))
        return root;
    json_decref(root);
    snprintf(why->text, sizeof(why->text), "not an object");
    return NULL;
}

static bool begins_object(const uint8_t *body, size_t body_len)
{
    size_t at = 0;
    while (at < body_len && memchr(" \t\r\n", body[at], 4) != NULL)
        at++;
    return at < body_len && body[at] == '{';
}

bool dps_answer_read(long status, const void *body, size_t body_len, struct dps_answer *out, struct t2c_error *err)
{
    T2C_CLEANUP(dps_answer_fini) struct dps_answer answer = {.status = status};
    json_error_t why = {0};
    char reason[160];
    T2C_CLEANUP(json_freep) json_t *root = parse(body, body_len, &why);
    const bool success = status >= 200 && status < 300,
               says_nothing = dps_status_may_pass(status) || (!success && !begins_object(body, body_len));
    if (root == NULL && !says_nothing)
        return t2c_fail(err, T2C_PROTO,
            "the server's answer (HTTP %ld, %zu bytes) is damaged: %s at byte %d; if that goes on, something on the "
            "way "
            "changes it",
            status, body_len, t2c_text_copy(reason, sizeof(reason), why.text), why.position);
    if (!(success ? read_success(root, &answer, err) : read_failure(root, &answer, err)))
        return false;
    *out = answer;
    answer = (struct dps_answer){0};
    return true;
}

char *dps_answer_words(const struct dps_answer *answer, char *out, size_t out_len)
{
    char code[40] = "", tracking[80] = "";
    if (answer->code != 0)
        snprintf(code, sizeof(code), ", errorCode %" PRId64, answer->code);
    if (answer->tracking[0] != '\0')
        snprintf(tracking, sizeof(tracking), ", trackingId %s", answer->tracking);
    snprintf(out, out_len, "%s%s%s(HTTP %ld%s%s)", answer->message[0] != '\0' ? "\"" : "", answer->message,
        answer->message[0] != '\0' ? "\" " : "", answer->status, code, tracking);
    return out;
}
