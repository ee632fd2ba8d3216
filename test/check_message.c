/*
 * The control socket's messages: as docs/control.cddl has them, byte for byte, and every way of being damaged. And the
 * texts in them.
 */
#include "check_main.h"

#include "tpm2cloud/message.h"
#include "tpm2cloud/text.h"
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        unsigned octet = 0;
        if (*text == ' ')
            continue;
        ck_assert_int_eq(sscanf(text, "%2x", &octet), 1);
        out[n++] = (uint8_t)octet;
        text++;
    }
    return n;
}

static void assert_bytes(const struct t2c_bytes *have, const char *want)
{
    uint8_t octets[512];
    size_t len = unhex(want, octets);
    ck_assert_uint_eq(have->len, len);
    ck_assert_mem_eq(have->data, octets, len);
}

/* ---- requests ---- */

/* The diagnostic notation of RFC 8949 stands behind each. */
static const struct {
    struct t2c_request request;
    const char *hex;
} requests[] = {
    {{.kind = T2C_ASK_PING}, "82 64 70696e67 a0"},       /* ["ping", {}] */
    {{.kind = T2C_ASK_STATUS}, "82 66 737461747573 a0"}, /* ["status", {}] */
    {{.kind = T2C_ASK_WATCH}, "82 65 7761746368 a0"},    /* ["watch", {}] */
    {{.kind = T2C_ASK_RELOAD}, "82 66 72656c6f6164 a0"}, /* ["reload", {}] */
    /* ["renew", {"name": "device-id"}] */
    {{.kind = T2C_ASK_RENEW, .name = "device-id"}, "82 65 72656e6577 a1 64 6e616d65 69 6465766963652d6964"},
    /* ["renew", {"name": "a", "now": true}] */
    {{.kind = T2C_ASK_RENEW, .name = "a", .now = true}, "82 65 72656e6577 a2 64 6e616d65 61 61 63 6e6f77 f5"},
    /* ["enroll", {"name": "a"}] */
    {{.kind = T2C_ASK_ENROLL, .name = "a"}, "82 66 656e726f6c6c a1 64 6e616d65 61 61"},
};

START_TEST(request_is_as_documented)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    struct t2c_error err = {0};
    struct t2c_request again;
    ck_assert(t2c_request_encode(&requests[_i].request, &out, &err));
    assert_bytes(&out, requests[_i].hex);
    struct t2c_cbor from = {.data = out.data, .len = out.len};
    ck_assert_msg(t2c_request_decode(&from, &again, &err), "%s", err.text);
    ck_assert_uint_eq(from.at, out.len);
    ck_assert_int_eq(again.kind, requests[_i].request.kind);
    ck_assert_str_eq(again.name, requests[_i].request.name);
    ck_assert(again.now == requests[_i].request.now);
}
END_TEST

/* One behind the other, and the keys in another order than ours. */
START_TEST(requests_are_a_sequence)
{
    uint8_t data[64];
    struct t2c_request request;
    struct t2c_error err = {0};
    struct t2c_cbor from = {
        .data = data, .len = unhex("82 65 72656e6577 a2 63 6e6f77 f5 64 6e616d65 61 61  82 64 70696e67 a0", data)};
    ck_assert_msg(t2c_request_decode(&from, &request, &err), "%s", err.text);
    ck_assert_int_eq(request.kind, T2C_ASK_RENEW);
    ck_assert_str_eq(request.name, "a");
    ck_assert(request.now);
    ck_assert_msg(t2c_request_decode(&from, &request, &err), "%s", err.text);
    ck_assert_int_eq(request.kind, T2C_ASK_PING);
    ck_assert_uint_eq(from.at, from.len);
    ck_assert(!t2c_request_decode(&from, &request, &err));
    ck_assert(from.cut);
}
END_TEST

/* CUT: with more bytes it might become a request. */
static const struct {
    const char *hex;
    bool cut;
    const char *text;
} damages[] = {
    {"", true, "cut off at byte 0"},
    {"82", true, "cut off at byte 1"},
    {"82 64 7069", true, "cut off at byte 1"},
    {"82 7b ffffffffffffffff", true, "cut off at byte 1"}, /* a text of 2^64 - 1 bytes: who reads it bounds it */
    {"82 64 70696e67", true, "cut off at byte 6"},
    {"a0", false, "not what belongs there at byte 0"},
    {"81 64 70696e67", false, "an array of another length at byte 1"},
    {"83 64 70696e67 a0 a0", false, "an array of another length at byte 1"},
    {"9b ffffffffffffffff", false, "an array of another length at byte 9"},
    {"9f 64 70696e67 a0 ff", false, "not what belongs there at byte 0"}, /* indefinite lengths */
    {"82 7f 64 70696e67 ff a0", false, "not what belongs there at byte 1"},
    {"82 64 70696e67 bf ff", false, "not what belongs there at byte 6"},
    {"82 44 70696e67 a0", false, "not what belongs there at byte 1"}, /* octets for a text */
    {"82 64 70696e67 f6", false, "not what belongs there at byte 6"},
    {"c1 82 64 70696e67 a0", false, "not what belongs there at byte 0"}, /* a tag */
    {"82 64 50494e47 a0", false, "\"PING\" is not known"},
    {"82 60 a0", false, "\"\" is not known"},
    {"82 64 70696e67 a1 64 6e616d65 61 61", false, "too many entries announced at byte 7"},
    {"82 65 72656e6577 a0", false, "a request without a name ends at byte 8"},
    {"82 65 72656e6577 a1 64 6e616d65 60", false, "a request without a name ends at byte 14"},
    {"82 65 72656e6577 a1 64 6e616d65 01", false, "not what belongs there at byte 13"},
    {"82 65 72656e6577 a1 63 6e6f77 01", false, "not what belongs there at byte 12"},
    {"82 65 72656e6577 a2 64 6e616d65 61 61 64 6e616d65 61 61", false,
        "a key that is unknown or stood there before ends at byte 20"},
    {"82 65 72656e6577 a1 64 4e414d45 61 61", false, "a key that is unknown or stood there before ends at byte 13"},
    {"82 65 72656e6577 a1 64 6e616d65 61 00", false,
        "a text that is not UTF-8, or has control characters, ends at byte 15"},
    {"82 65 72656e6577 a1 64 6e616d65 61 1b", false,
        "a text that is not UTF-8, or has control characters, ends at byte 15"},
    {"82 65 72656e6577 a1 64 6e616d65 62 c0af", false,
        "a text that is not UTF-8, or has control characters, ends at byte 16"},
    {"82 71 6161616161616161616161616161616161 a0", false, "a text that is too long ends at byte 19"},
    {"ff", false, "not what belongs there at byte 0"},
};

START_TEST(damage_is_named)
{
    uint8_t data[64];
    struct t2c_request request;
    struct t2c_error err = {0};
    size_t len = unhex(damages[_i].hex, data);
    T2C_CLEANUP(t2c_freep) uint8_t *copy = malloc(len + 1); /* of the exact size, for the address sanitizer */
    if (copy == NULL)
        abort();
    memcpy(copy, data, len);
    struct t2c_cbor from = {.data = copy, .len = len};
    ck_assert(!t2c_request_decode(&from, &request, &err));
    ck_assert_str_eq(err.text, damages[_i].text);
    ck_assert(from.cut == damages[_i].cut);
    ck_assert_int_eq(err.code, T2C_INVALID);
}
END_TEST

START_TEST(name_is_bounded)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes data = {0};
    uint8_t head[32];
    struct t2c_request request;
    struct t2c_error err = {0};
    char name[T2C_STATE_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    for (size_t len = T2C_STATE_NAME_MAX; len <= T2C_STATE_NAME_MAX + 1; len++) {
        t2c_bytes_clear(&data);
        ck_assert(t2c_bytes_append(&data, head, unhex("82 65 72656e6577 a1 64 6e616d65 79", head), &err));
        ck_assert(t2c_bytes_append(&data, (uint8_t[]){(uint8_t)(len >> 8), (uint8_t)len}, 2, &err));
        ck_assert(t2c_bytes_append(&data, name, len, &err));
        ck_assert_uint_lt(data.len, T2C_REQUEST_MAX);
        struct t2c_cbor from = {.data = data.data, .len = data.len};
        ck_assert(t2c_request_decode(&from, &request, &err) == (len <= T2C_STATE_NAME_MAX));
    }
    ck_assert_ptr_nonnull(strstr(err.text, "a text that is too long ends"));
}
END_TEST

/* ---- replies ---- */

static void fill_text(char *out, size_t out_len)
{
    memset(out, 't', out_len - 1);
    out[out_len - 1] = '\0';
}

/* The longest of each kind. */
static struct t2c_reply full_reply(enum t2c_reply_kind kind)
{
    struct t2c_reply reply;
    memset(&reply, 0, sizeof(reply));
    reply.kind = kind;
    struct t2c_certificate *certificate = &reply.as.certificate;
    struct t2c_event *event = &reply.as.event;
    switch (kind) {
    case T2C_TELL_CERTIFICATE:
        certificate->state = (struct t2c_state_entry){.renewals = INT64_MAX,
            .failures = INT64_MAX,
            .failures_in_all = INT64_MAX,
            .last_success_s = INT64_MAX,
            .last_failure_s = INT64_MAX,
            .not_before_s = INT64_MAX,
            .not_after_s = INT64_MAX,
            .next_s = INT64_MAX,
            .rung = INT64_MAX,
            .pending_until_s = INT64_MAX,
            .deploy_pending = true,
            .dps_failures = INT64_MAX,
            .dps_next_s = INT64_MAX};
        memset(certificate->state.dps_digest, 0xFF, sizeof(certificate->state.dps_digest));
        fill_text(certificate->state.dps_error, sizeof(certificate->state.dps_error));
        memset(certificate->state.pending_digest, 0xFF, sizeof(certificate->state.pending_digest));
        fill_text(certificate->doing, sizeof(certificate->doing));
        fill_text(certificate->state.name, sizeof(certificate->state.name));
        fill_text(certificate->state.last_code, sizeof(certificate->state.last_code));
        fill_text(certificate->state.last_error, sizeof(certificate->state.last_error));
        fill_text(certificate->state.issuer, sizeof(certificate->state.issuer));
        break;
    case T2C_TELL_EVENT:
        *event = (struct t2c_event){
            .alert = true, .at_s = INT64_MAX, .next_s = INT64_MAX, .not_after_s = INT64_MAX, .lost = INT64_MAX};
        fill_text(event->type, sizeof(event->type));
        fill_text(event->name, sizeof(event->name));
        fill_text(event->code, sizeof(event->code));
        fill_text(event->text, sizeof(event->text));
        break;
    case T2C_TELL_DONE:
        reply.as.done = (struct t2c_done){.started_s = INT64_MAX, .now_s = 1};
        fill_text(reply.as.done.version, sizeof(reply.as.done.version));
        break;
    case T2C_TELL_ERROR:
        fill_text(reply.as.refusal.code, sizeof(reply.as.refusal.code));
        fill_text(reply.as.refusal.text, sizeof(reply.as.refusal.text));
        break;
    }
    return reply;
}

START_TEST(reply_is_there_and_back)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes twice = {0};
    const struct t2c_reply reply = full_reply((enum t2c_reply_kind)_i);
    struct t2c_reply again;
    struct t2c_error err = {0};
    ck_assert(t2c_reply_encode(&reply, &out, &err));
    ck_assert_uint_le(out.len, T2C_REPLY_MAX);
    struct t2c_cbor from = {.data = out.data, .len = out.len};
    ck_assert_msg(t2c_reply_decode(&from, &again, &err), "%s", err.text);
    ck_assert_uint_eq(from.at, out.len);
    ck_assert_int_eq(again.kind, reply.kind);
    ck_assert(t2c_reply_encode(&again, &twice, &err));
    ck_assert_uint_eq(twice.len, out.len);
    ck_assert_mem_eq(twice.data, out.data, out.len);
}
END_TEST

/* What is zero is left out: ["certificate", {"name": "a", "doing": "asking", "record": {"renewals": 2}}] and the like. */
START_TEST(reply_is_as_documented)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    struct t2c_reply reply = {.kind = T2C_TELL_CERTIFICATE};
    strcpy(reply.as.certificate.state.name, "a");
    strcpy(reply.as.certificate.doing, "asking");
    reply.as.certificate.state.renewals = 2;
    ck_assert(t2c_reply_encode(&reply, &out, NULL));
    assert_bytes(&out,
        "82 6b 6365727469666963617465 a3 64 6e616d65 61 61 65 646f696e67 66 61736b696e67 66 7265636f7264"
        "a1 68 72656e6577616c73 02");
    t2c_bytes_clear(&out);
    reply = (struct t2c_reply){.kind = T2C_TELL_ERROR};
    strcpy(reply.as.refusal.code, "auth");
    strcpy(reply.as.refusal.text, "no");
    ck_assert(t2c_reply_encode(&reply, &out, NULL));
    assert_bytes(&out, "82 65 6572726f72 a2 64 636f6465 64 61757468 64 74657874 62 6e6f"); /* "code", "text" */
}
END_TEST

START_TEST(every_prefix_of_a_reply_is_cut)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    const struct t2c_reply reply = full_reply((enum t2c_reply_kind)_i);
    struct t2c_reply again;
    ck_assert(t2c_reply_encode(&reply, &out, NULL));
    for (size_t len = 0; len < out.len; len++) {
        T2C_CLEANUP(t2c_freep) uint8_t *copy = malloc(len + 1);
        if (copy == NULL)
            abort();
        memcpy(copy, out.data, len);
        struct t2c_cbor from = {.data = copy, .len = len};
        ck_assert(!t2c_reply_decode(&from, &again, NULL));
        ck_assert_msg(from.cut, "with %zu bytes", len);
    }
}
END_TEST

/* No single wrong bit may crash; what is still accepted must encode again. */
START_TEST(every_flipped_bit_is_survived)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes out = {0};
    const struct t2c_reply reply = full_reply((enum t2c_reply_kind)_i);
    struct t2c_reply again;
    ck_assert(t2c_reply_encode(&reply, &out, NULL));
    for (size_t i = 0; i < out.len * 8; i++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes back = {0};
        struct t2c_cbor from = {.data = out.data, .len = out.len};
        out.data[i / 8] ^= (uint8_t)(1u << i % 8);
        if (t2c_reply_decode(&from, &again, NULL))
            ck_assert(t2c_reply_encode(&again, &back, NULL));
        out.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}
END_TEST

/* ---- texts ---- */

static const struct {
    const char *text, *copied;
} texts[] = {
    {"", ""},
    {"plain", "plain"},
    {"\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x94\x91", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x94\x91"},
    {"a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?"},
    {"\xC2\x9B", "??"},       /* CSI, of C1 */
    {"\xC2\xA0", "\xC2\xA0"}, /* the first behind C1 */
    {"\xC0\xAF", "??"},       /* '/' in too many octets */
    {"\xE0\x80\xAF", "???"},
    {"\xF0\x80\x80\xAF", "????"},
    {"\xED\xA0\x80", "???"},                  /* a surrogate */
    {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"}, /* U+10FFFF, the last */
    {"\xF4\x90\x80\x80", "????"},
    {"\xFF\xFE", "??"},
    {"\x80", "?"},
    {"a\xE2\x82", "a??"}, /* cut */
    {"\xC3(", "?("},
};

START_TEST(text_is_cleaned)
{
    char out[64];
    size_t len = strlen(texts[_i].text);
    ck_assert_str_eq(t2c_text_copy(out, sizeof(out), texts[_i].text), texts[_i].copied);
    ck_assert(t2c_text_is_clean(out, strlen(out)));
    ck_assert(t2c_text_is_clean(texts[_i].text, len) == (strcmp(texts[_i].text, texts[_i].copied) == 0));
}
END_TEST

START_TEST(text_is_cut_between_characters)
{
    char out[5];
    ck_assert_str_eq(t2c_text_copy(out, sizeof(out), "12345"), "1234");
    ck_assert_str_eq(t2c_text_copy(out, sizeof(out), "12\xE2\x82\xAC"), "12");
    ck_assert_str_eq(t2c_text_copy(out, sizeof(out), "1\xE2\x82\xAC"), "1\xE2\x82\xAC");
    ck_assert_str_eq(t2c_text_copy(out, 1, "1"), "");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("message");
    TCase *t = tcase_create("message");
    tcase_add_loop_test(t, request_is_as_documented, 0, COUNT(requests));
    tcase_add_test(t, requests_are_a_sequence);
    tcase_add_loop_test(t, damage_is_named, 0, COUNT(damages));
    tcase_add_test(t, name_is_bounded);
    tcase_add_loop_test(t, reply_is_there_and_back, 0, T2C_TELL_ERROR + 1);
    tcase_add_test(t, reply_is_as_documented);
    tcase_add_loop_test(t, every_prefix_of_a_reply_is_cut, 0, T2C_TELL_ERROR + 1);
    tcase_add_loop_test(t, every_flipped_bit_is_survived, 0, T2C_TELL_ERROR + 1);
    tcase_add_loop_test(t, text_is_cleaned, 0, COUNT(texts));
    tcase_add_test(t, text_is_cut_between_characters);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
