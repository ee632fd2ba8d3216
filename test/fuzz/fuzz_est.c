/*
 * An answer of an EST server as it comes over the wire: status line, headers, an empty line, the body. What is not of that
 * form is the body of a 200. Each operation judges it; its certificates are decoded and picked from.
 */
#include "../../estd/est.h"

#include "fuzz.h"
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW INT64_C(1800000000)

struct answer {
    char status_line[64], type[128], retry_after[64];
    struct est_reply reply;
};

/* Copies the value of a header in front of END, or nothing. */
static void take_header(const char *from, const char *end, const char *name, char *out, size_t out_len)
{
    const char *at = memmem(from, (size_t)(end - from), name, strlen(name));
    const char *value = at != NULL ? at + strlen(name) : end;
    const char *line_end = value < end ? memchr(value, '\r', (size_t)(end - value)) : NULL;
    size_t len = line_end != NULL ? (size_t)(line_end - value) : 0;
    len = len < out_len ? len : out_len - 1;
    memcpy(out, value, len);
    out[len] = '\0';
}

static void split(const uint8_t *data, size_t data_len, struct answer *out)
{
    const char *text = (const char *)data;
    const char *gap = memmem(data, data_len, "\r\n\r\n", 4);
    *out = (struct answer){.reply = {.status = 200, .content_type = "application/pkcs7-mime"}};
    out->reply.body = data;
    out->reply.body_len = data_len;
    if (gap == NULL || data_len < 5 || memcmp(data, "HTTP/", 5) != 0)
        return;
    snprintf(out->status_line, sizeof(out->status_line), "%.*s", (int)(gap - text), text);
    sscanf(out->status_line, "HTTP/%*s %ld", &out->reply.status);
    take_header(text, gap + 2, "\nContent-Type: ", out->type, sizeof(out->type));
    take_header(text, gap + 2, "\nRetry-After: ", out->retry_after, sizeof(out->retry_after));
    out->reply.content_type = out->type[0] != '\0' ? out->type : NULL;
    out->reply.body = gap + 4;
    out->reply.body_len = data_len - (size_t)(gap + 4 - text);
}

static void judge(const struct answer *answer)
{
    for (enum est_op op = EST_CACERTS; op <= EST_SIMPLEREENROLL; op++) {
        struct t2c_error err = {0};
        if (est_check(op, &answer->reply, &err)) {
            assert(answer->reply.status == 200);
            continue;
        }
        assert_refused(&err);
        assert(err.code != T2C_INVALID || (err.detail >= 400 && err.detail < 500));
    }
    int64_t wait_s = est_retry_after_s(answer->retry_after, NOW);
    assert(wait_s == -1 || (wait_s >= 1 && wait_s <= 7 * 86400));
    est_names_possession(answer->reply.body, answer->reply.body_len);
}

static EVP_PKEY *any_key(void)
{
    static EVP_PKEY *key;
    if (key == NULL)
        key = EVP_EC_gen("P-256");
    assert(key != NULL);
    return key;
}

static void decode(const struct est_reply *reply)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    X509 *picked = NULL;
    if (!est_decode_certs(reply->body, reply->body_len, &certs, &err)) {
        assert(err.code == T2C_PROTO && certs == NULL);
        assert_refused(&err);
        return;
    }
    int n = sk_X509_num(certs);
    assert(n >= 1 && n <= EST_CERTS_MAX);
    for (int i = 1; i < n; i++)
        assert(X509_cmp(sk_X509_value(certs, i - 1), sk_X509_value(certs, i)) != 0);
    if (!est_pick_cert(certs, any_key(), &picked, &err))
        assert_refused(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    struct answer answer;
    split(data, data_len, &answer);
    judge(&answer);
    decode(&answer.reply);
    ERR_clear_error(); /* what is left in OpenSSL's queue looks like a leak, and looking for leaks takes long */
    return 0;
}
