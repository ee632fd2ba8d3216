/*
 * DPS without a server: requests, answers, the states of a registration and its pace, what is kept; and the challenge.
 */
#include "../lib/challenge.h"
#include "../tools/dps_flow.h"
#include "../tools/dps_record.h"
#include "check_main.h"

#include <stdio.h>
#include <string.h>

static const struct dps_target target = {"https://h.example/", "2021-06-01", "0ne0", "Dev-1"};

static const char *text_of(const struct t2c_bytes *bytes)
{
    return (const char *)bytes->data;
}

/* ---- requests ---- */

START_TEST(id_of_ek)
{
    /* SHA-256 of "abc" in base32, by coreutils. */
    const struct t2c_bytes ek = {.data = (uint8_t *)"abc", .len = 3};
    char id[DPS_ID_MAX];
    ck_assert(dps_id_of_ek(&ek, id, NULL));
    ck_assert_str_eq(id, "xj4bnp4pahh6uqkbidpf3lrceoyagyndsylxvhfucd7wd4qacwwq");
}
END_TEST

START_TEST(requests)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes url = {0}, poll = {0}, body = {0}, tpm = {0}, resource = {0};
    const struct t2c_bytes ek = {.data = (uint8_t *)"EK", .len = 2}, srk = {.data = (uint8_t *)"SRK", .len = 3};
    ck_assert(dps_url(&target, NULL, &url, NULL) && dps_url(&target, "4.a", &poll, NULL));
    ck_assert_str_eq(text_of(&url), "https://h.example/0ne0/registrations/Dev-1/register?api-version=2021-06-01");
    ck_assert_str_eq(
        text_of(&poll), "https://h.example/0ne0/registrations/Dev-1/operations/4.a?api-version=2021-06-01");
    ck_assert(dps_body(&target, NULL, NULL, &body, NULL) && dps_body(&target, &ek, &srk, &tpm, NULL));
    ck_assert_str_eq(text_of(&body), "{\"registrationId\":\"Dev-1\"}");
    ck_assert_str_eq(text_of(&tpm),
        "{\"registrationId\":\"Dev-1\",\"tpm\":{\"endorsementKey\":\"RUs=\",\"storageRootKey\":\"U1JL\"}}");
    ck_assert(dps_resource(&target, &resource, NULL));
    ck_assert_str_eq(text_of(&resource), "0ne0/registrations/Dev-1");
}
END_TEST

static const struct {
    struct dps_target target;
    const char *why; /* NULL: it is good */
} targets[] = {
    {{"https://h", "2021-06-01", "0ne0", "a"}, NULL},
    {{"https://[::1]:8443/", "v", "0ne0", "A.b_c:d-"}, NULL},
    {{"http://h", "v", "s", "a"}, "--endpoint http://h is not https://HOST[:PORT]"},
    {{"https://h/path", "v", "s", "a"}, "--endpoint https://h/path is not"},
    {{"https://user@h", "v", "s", "a"}, "--endpoint https://user@h is not"},
    {{"https:///", "v", "s", "a"}, "--endpoint https:/// is not"},
    {{"https://h", "v&x=1", "s", "a"}, "--api-version v&x=1 has a character that it cannot have"},
    {{"https://h", "v", "s/t", "a"}, "--scope s/t has a character"},
    {{"https://h", "v", "", "a"}, "--scope has 0 characters; it has 1 to 64"},
    {{"https://h", "v", "s", "a\"b"}, "--id a\"b has a character"},
    {{"https://h", "v", "s", "a."}, "--id a. begins with"},
    {{"https://h", "v", "s", ".a"}, "--id .a begins with"},
    {{"https://h", "v", "s", "../a"}, "--id ../a has a character"},
};

START_TEST(target_is_checked)
{
    struct t2c_error err = {0};
    bool ok = dps_target_check(&targets[_i].target, &err);
    ck_assert_msg(ok == (targets[_i].why == NULL), "%s", err.text);
    ck_assert(ok || strncmp(err.text, targets[_i].why, strlen(targets[_i].why)) == 0);
}
END_TEST

/* ---- answers ---- */

#define STATE(more) \
    "{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"h.e\",\"deviceId\":\"d\"" more "}}"

static const struct {
    long status;
    const char *body;
    enum dps_kind kind;
    const char *words; /* of the server; or why it is refused, when BAD */
    bool bad;
} answers[] = {
    {401, "{\"authenticationKey\":\"AAEC\",\"keyName\":\"registration\"}", DPS_CHALLENGE, "(HTTP 401)", false},
    {401, "{\"errorCode\":401002,\"trackingId\":\"t-1\",\"message\":\"Unauthorized\"}", DPS_REFUSED,
        "\"Unauthorized\" (HTTP 401, errorCode 401002, trackingId t-1)", false},
    {401, "{\"authenticationKey\":\"no base64!\"}", 0, "unusable authenticationKey", true},
    {401, "{\"authenticationKey\":\"\"}", 0, "unusable authenticationKey", true},
    {401, "{\"authenticationKey\":\"AA", 0, "(HTTP 401, 24 bytes) is damaged", true},
    {202, "{\"operationId\":\"4.a-b\",\"status\":\"assigning\"}", DPS_ASSIGNING, "(HTTP 202)", false},
    {202, "{\"operationId\":\"4.a-b\"}", DPS_ASSIGNING, "(HTTP 202)", false},
    {202, "{\"status\":\"assigning\"}", 0, "no operationId", true},
    {202, "{\"operationId\":\"../x\",\"status\":\"assigning\"}", 0, "unusable operationId", true},
    {202, "{\"operationId\":\"a\\u0000b\"}", 0, "is damaged", true},
    {200, STATE(",\"tpm\":{\"authenticationKey\":\"AAEC\"}"), DPS_ASSIGNED, "(HTTP 200)", false},
    {200, STATE(",\"tpm\":null,\"more\":[{}]"), DPS_ASSIGNED, "(HTTP 200)", false},
    {200, STATE(",\"deviceId\":\"e\""), 0, "duplicate object key", true},
    {200, "{\"status\":\"assigned\"}", 0, "no assignedHub", true},
    {200, "{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"h e\",\"deviceId\":\"d\"}}", 0,
        "unusable assignedHub", true},
    {200, "{\"status\":\"failed\",\"registrationState\":{\"errorCode\":400209,\"errorMessage\":\"no \\u001bhub\"}}",
        DPS_FAILED, "\"no ?hub\" (HTTP 200, errorCode 400209)", false},
    {200, "{\"status\":\"disabled\"}", DPS_FAILED, "(HTTP 200)", false},
    {200, "[]", 0, "is damaged: not an object", true},
    {200, "", 0, "(HTTP 200, 0 bytes) is damaged", true},
    {200, "<html>", 0, "is damaged", true},
    {429, "{\"errorCode\":429001,\"message\":\"slow\"}", DPS_BUSY, "\"slow\" (HTTP 429, errorCode 429001)", false},
    {502, "<html>Bad Gateway</html>", DPS_BUSY, "(HTTP 502)", false},
    {503, "", DPS_BUSY, "(HTTP 503)", false},
    {500, "{\"errorCode\":500001,\"mess", DPS_BUSY, "(HTTP 500)", false},
    {429, "{\"errorCode\":1,\"errorCode\":2}", DPS_BUSY, "(HTTP 429)", false},
    {404, "{\"code\":1}", DPS_REFUSED, "(HTTP 404)", false},
    {307, "", DPS_REFUSED, "(HTTP 307)", false},
};

START_TEST(answer_means)
{
    T2C_CLEANUP(dps_answer_fini) struct dps_answer answer = {0};
    struct t2c_error err = {0};
    char words[420];
    bool ok = dps_answer_read(answers[_i].status, answers[_i].body, strlen(answers[_i].body), &answer, &err);
    ck_assert_msg(ok != answers[_i].bad, "%s", err.text);
    if (!ok) {
        ck_assert_int_eq(err.code, T2C_PROTO);
        ck_assert_msg(strstr(err.text, answers[_i].words) != NULL, "%s", err.text);
        return;
    }
    ck_assert_int_eq(answer.kind, answers[_i].kind);
    ck_assert_str_eq(dps_answer_words(&answer, words, sizeof(words)), answers[_i].words);
    ck_assert(answer.kind != DPS_CHALLENGE || (answer.key.len == 3 && memcmp(answer.key.data, "\0\1\2", 3) == 0));
    ck_assert(answer.kind != DPS_ASSIGNED || (strcmp(answer.hub, "h.e") == 0 && strcmp(answer.device, "d") == 0));
}
END_TEST

/* ---- the flow ---- */

static bool go(struct dps_flow *flow, enum dps_kind kind, long status, int64_t now_ms, struct t2c_error *err)
{
    const struct dps_answer answer = {.kind = kind, .status = status};
    const struct dps_news news = {&answer, NULL, -1, 0, 0, now_ms};
    return dps_flow_go_on(flow, &news, NULL, err);
}

START_TEST(tpm_attests)
{
    struct dps_flow flow;
    dps_flow_start(&flow, true, 60, 1000);
    ck_assert(flow.next == DPS_REGISTER && flow.wait_ms == 0);
    ck_assert(go(&flow, DPS_CHALLENGE, 401, 1000, NULL) && flow.next == DPS_PROVE);
    dps_flow_proved(&flow);
    ck_assert(flow.next == DPS_REGISTER);
    ck_assert(go(&flow, DPS_ASSIGNING, 202, 2000, NULL) && flow.next == DPS_POLL && flow.wait_ms == 2000);
    ck_assert(go(&flow, DPS_ASSIGNING, 202, 4000, NULL) && flow.next == DPS_POLL);
    ck_assert(go(&flow, DPS_ASSIGNED, 200, 6000, NULL) && flow.next == DPS_FINISH);
}
END_TEST

static const struct {
    bool tpm, challenged;
    enum dps_kind kind;
    long status;
    int64_t ahead_s;
    enum t2c_code code;
    const char *why;
} ends[] = {
    {true, false, DPS_REFUSED, 401, 0, T2C_AUTH, "DPS refuses this TPM"},
    {true, true, DPS_CHALLENGE, 401, 0, T2C_AUTH,
        "DPS refuses the token that the TPM signed: (HTTP 401); run this again"},
    {true, true, DPS_REFUSED, 401, 900, T2C_AUTH, "clock is 900 s behind the server's, so the token was out of date"},
    {true, true, DPS_REFUSED, 401, -70, T2C_AUTH, "clock is 70 s ahead of the server's"},
    {false, false, DPS_REFUSED, 401, 900, T2C_AUTH, "DPS refuses the certificate"},
    {false, false, DPS_CHALLENGE, 401, 0, T2C_AUTH, "which a certificate cannot answer"},
    {true, false, DPS_REFUSED, 404, 0, T2C_NOT_FOUND, "DPS knows no such registration"},
    {true, false, DPS_REFUSED, 400, 0, T2C_INVALID, "compare the endorsement key"},
    {true, false, DPS_REFUSED, 302, 0, T2C_PROTO, "elsewhere, where we do not go"},
    {false, false, DPS_FAILED, 200, 0, T2C_AUTH, "DPS does not assign this device"},
};

START_TEST(flow_ends)
{
    struct dps_flow flow;
    struct t2c_error err = {0};
    const struct dps_answer answer = {.kind = ends[_i].kind, .status = ends[_i].status};
    const struct dps_news news = {&answer, NULL, -1, ends[_i].ahead_s, 0, 0};
    dps_flow_start(&flow, ends[_i].tpm, 60, 0);
    ck_assert(!ends[_i].challenged || go(&flow, DPS_CHALLENGE, 401, 0, NULL));
    ck_assert(!dps_flow_go_on(&flow, &news, NULL, &err));
    ck_assert_int_eq(err.code, ends[_i].code);
    ck_assert_msg(strstr(err.text, ends[_i].why) != NULL, "%s", err.text);
}
END_TEST

/* Whatever the server says and chance brings: five questions in ten seconds, never before Retry-After, never beyond the end. */
START_TEST(pace_of_polls)
{
    const int64_t retry_after_s = (int64_t)_i - 1;
    struct dps_flow flow;
    int64_t now_ms = 0, before[5] = {-10000, -10000, -10000, -10000, -10000};
    uint32_t random = 12345;
    dps_flow_start(&flow, false, 100, 0);
    for (size_t n = 0;; n++) {
        const struct dps_answer answer = {.kind = n % 3 == 2 ? DPS_BUSY : DPS_ASSIGNING, .status = 202};
        const struct dps_news news = {&answer, NULL, retry_after_s, 0, n % 2 == 0 ? 0 : random, now_ms};
        if (!dps_flow_go_on(&flow, &news, NULL, NULL))
            break;
        ck_assert_int_ge(flow.wait_ms, retry_after_s * 1000);
        now_ms += flow.wait_ms;
        ck_assert_int_le(now_ms, 100000);
        ck_assert_int_ge(now_ms - before[n % 5], 10000);
        before[n % 5] = now_ms;
        random = random * 1664525 + 1013904223;
    }
    ck_assert_int_gt(now_ms, 100000 - 2 * 60000);
}
END_TEST

START_TEST(backoff)
{
    static const int64_t most_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    const struct t2c_error broken = {.code = T2C_IO, .text = "no way"},
                           wrong = {.code = T2C_AUTH, .text = "not trusted"};
    struct dps_news news = {NULL, &broken, -1, 0, 0, 0};
    struct dps_flow flow;
    struct t2c_error err = {0}, again = {0};
    dps_flow_start(&flow, false, 200, 0);
    for (size_t i = 0; i < sizeof(most_ms) / sizeof(most_ms[0]); i++) {
        struct dps_flow other = flow;
        news.random = 0;
        ck_assert(dps_flow_go_on(&flow, &news, &again, &err));
        ck_assert_str_eq(again.text, "no way");
        ck_assert_int_eq(flow.wait_ms, most_ms[i] / 2);
        news.random = UINT32_MAX;
        ck_assert(dps_flow_go_on(&other, &news, NULL, &err));
        ck_assert_int_eq(other.wait_ms, most_ms[i]);
        ck_assert(flow.next == DPS_REGISTER);
    }
    news.now_ms = 190000;
    ck_assert(!dps_flow_go_on(&flow, &news, NULL, &err));
    ck_assert_int_eq(err.code, T2C_RETRY);
    ck_assert_msg(strstr(err.text, "no way; gave up after 9 tries") != NULL, "%s", err.text);
    news.broken = &wrong;
    ck_assert(!dps_flow_go_on(&flow, &news, NULL, &err) && strcmp(err.text, "not trusted") == 0);
}
END_TEST

/* ---- what is kept ---- */

START_TEST(record_keeps)
{
    const struct dps_record record = {.endpoint = "https://h",
        .scope = "0ne0",
        .id = "Dev-1",
        .tpm = true,
        .proof = "00ff",
        .handle = "0x81000100",
        .name = "000b",
        .hub = "h.e",
        .device = "d",
        .substatus = "initialAssignment",
        .registered_s = INT64_C(5000000000)};
    struct dps_record other = {0}, damaged;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct t2c_error err = {0};
    ck_assert(dps_record_format(&record, &text, &err) && dps_record_parse(text.data, text.len, &other, &err));
    ck_assert(memcmp(&record, &other, sizeof(record)) == 0);
    for (size_t len = 0; len < text.len - 2; len++)
        ck_assert(!dps_record_parse(text.data, len, &damaged, &err) && err.code == T2C_INVALID);
    snprintf(other.id, sizeof(other.id), "dev-1");
    ck_assert(dps_record_is_of(&record, &other));
    snprintf(other.proof, sizeof(other.proof), "another");
    ck_assert(dps_record_is_of(&record, &other)); /* the key of a TPM has a Name */
    snprintf(other.scope, sizeof(other.scope), "0ne1");
    ck_assert(!dps_record_is_of(&record, &other));
}
END_TEST

/* ---- the challenge ---- */

static size_t make_challenge(uint8_t out[256])
{
    static const uint8_t begin[] = {
        0, 1, 'c', 0, 2, 's', 's', 0, 1, 'd', 0, 1, 't', 0, 80, 0, 8, 0, 11, 0, 4, 4, 0x40, 0, 32};
    size_t len = sizeof(begin);
    memcpy(out, begin, len);
    memset(out + len, 0xAA, 32);
    len += 32;
    memcpy(out + len, "\0\5\0\13\0\40", 6);
    len += 6;
    memset(out + len, 0xBB, 32);
    return len + 32;
}

START_TEST(challenge_is_parsed)
{
    uint8_t blob[256] = {0};
    const size_t len = make_challenge(blob);
    struct t2c_challenge challenge;
    struct t2c_error err = {0};
    ck_assert_msg(t2c_challenge_parse(blob, len, &challenge, &err), "%s", err.text);
    ck_assert(t2c_challenge_parse(blob, len + 2, &challenge, &err));
    ck_assert(challenge.credential.size == 1 && challenge.credential_seed.size == 2 && challenge.duplicate.size == 1);
    ck_assert_int_eq(challenge.pub.publicArea.objectAttributes, 0x00040440);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert(!t2c_challenge_parse(blob, cut, &challenge, &err) && err.code == T2C_PROTO);
    blob[len - 35] = 12; /* HMAC by SHA-384 */
    ck_assert(!t2c_challenge_parse(blob, len, &challenge, &err));
    ck_assert_msg(strstr(err.text, "no HMAC-SHA256 key") != NULL, "%s", err.text);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("dps");
    TCase *tcase = tcase_create("dps");
    tcase_add_test(tcase, id_of_ek);
    tcase_add_test(tcase, requests);
    tcase_add_loop_test(tcase, target_is_checked, 0, COUNT(targets));
    tcase_add_loop_test(tcase, answer_means, 0, COUNT(answers));
    tcase_add_test(tcase, tpm_attests);
    tcase_add_loop_test(tcase, flow_ends, 0, COUNT(ends));
    tcase_add_loop_test(tcase, pace_of_polls, 0, 12);
    tcase_add_test(tcase, backoff);
    tcase_add_test(tcase, record_keeps);
    tcase_add_test(tcase, challenge_is_parsed);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
