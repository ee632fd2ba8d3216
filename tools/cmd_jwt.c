/*
 * tpm2cloud jwt: a JSON Web Token (RFC 7519) by a key in the TPM.
 */
#include "cmd.h"
#include "json.h"
#include "jwt.h"
#include "tpm2cloud/jws.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define TTL_MAX_S (10 * 365 * 86400)
#define SKEW_MAX_S 86400

struct wish {
    const char *name, *aud, *ttl, *alg, *skew, *auth;
    const char *claims[CMD_MANY_MAX + 1];
    bool json;
};

static bool parse(int argc, char **argv, struct wish *wish, struct t2c_error *err)
{
    const struct cmd_option options[] = {{"aud", &wish->aud, NULL}, {"ttl", &wish->ttl, NULL},
        {"alg", &wish->alg, NULL}, {"claim", wish->claims, &cmd_many}, {"skew", &wish->skew, NULL},
        {"auth", &wish->auth, NULL}, {"json", NULL, &wish->json}};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &wish->name, 1, err) ||
        !cmd_check_name(wish->name, err))
        return false;
    if (wish->aud == NULL || wish->ttl == NULL)
        return cmd_fail_usage(err, "--%s is missing", wish->aud == NULL ? "aud" : "ttl");
    return true;
}

/* Clocks differ: who verifies may be behind by SKEW, and still not think that the token comes from the future. */
static bool set_times(const struct wish *wish, struct jwt_claims *claims, struct t2c_error *err)
{
    int64_t ttl_s = 0, skew_s = 0;
    const int64_t now_s = time(NULL);
    if (!cmd_parse_period("ttl", wish->ttl, TTL_MAX_S, &ttl_s, err) ||
        !cmd_parse_period("skew", wish->skew, SKEW_MAX_S, &skew_s, err))
        return false;
    claims->issued_s = now_s - skew_s;
    claims->expires_s = now_s + ttl_s;
    return true;
}

static void print_token(const struct t2c_bytes *token, const struct jwt_claims *claims, bool json)
{
    if (json)
        printf("{\"token\": \"%s\", \"issued\": %" PRId64 ", \"expires\": %" PRId64 "}\n", (const char *)token->data,
            claims->issued_s, claims->expires_s);
    else
        puts((const char *)token->data);
}

bool cmd_jwt(int argc, char **argv, struct t2c_error *err)
{
    struct wish wish = {.skew = "60"};
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes payload = {0}, token = {0};
    enum t2c_jws_alg alg = T2C_JWS_ES256;
    if (!parse(argc, argv, &wish, err))
        return false;
    struct jwt_claims claims = {.audience = wish.aud, .more = wish.claims};
    if (!set_times(&wish, &claims, err) || !jwt_append_claims(&claims, &payload, err) ||
        !cmd_load_key(wish.name, wish.auth, &key, err))
        return false;
    if (!t2c_jws_choose(key, wish.alg, &alg, err))
        return t2c_fail_context(err, "%s", wish.name);
    if (!t2c_jws_sign(key, alg, &payload, &token, err))
        return false;
    print_token(&token, &claims, wish.json);
    return true;
}
