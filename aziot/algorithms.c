/*
 * What the service's clients understand is a short list: of the curves P-256 alone. "*" is any of the first two.
 */
#include "algorithms.h"

#include <string.h>

static const enum t2c_alg known[ALGORITHMS_MAX] = {
    T2C_ALG_EC_P256, T2C_ALG_RSA_2048, T2C_ALG_RSA_3072, T2C_ALG_RSA_4096};
#define ANY_N 2

static void add(struct algorithms *out, enum t2c_alg alg)
{
    for (size_t i = 0; i < out->n; i++)
        if (out->list[i] == alg)
            return;
    out->list[out->n++] = alg;
}

static void add_named(struct algorithms *out, const char *name, size_t name_len)
{
    bool any = name_len == 1 && name[0] == '*';
    for (size_t i = 0; i < ALGORITHMS_MAX; i++) {
        const char *text = t2c_alg_name(known[i]);
        if (any ? i < ANY_N : strlen(text) == name_len && memcmp(text, name, name_len) == 0)
            add(out, known[i]);
    }
}

static struct algorithms with_rsa_last(const struct algorithms *asked)
{
    struct algorithms out = {0};
    for (size_t i = 0; i < asked->n; i++)
        if (asked->list[i] == T2C_ALG_EC_P256)
            add(&out, asked->list[i]);
    for (size_t i = 0; i < asked->n; i++)
        add(&out, asked->list[i]);
    return out;
}

bool algorithms_parse(const char *preferred, bool rsa_welcome, struct algorithms *out, struct t2c_error *err)
{
    struct algorithms asked = {0};
    for (const char *at = preferred != NULL ? preferred : "*"; *at != '\0';) {
        size_t len = strcspn(at, ":");
        add_named(&asked, at, len);
        at += len + (at[len] == ':');
    }
    if (asked.n == 0)
        return t2c_fail(err, T2C_INVALID,
            "none of the algorithms \"%s\" can be had; there are ec-p256, rsa-2048, rsa-3072 and rsa-4096", preferred);
    *out = rsa_welcome ? asked : with_rsa_last(&asked);
    return true;
}
