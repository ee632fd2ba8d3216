/*
 * tpm2cloud enroll: a certificate that estd keeps, as its [auth] says; or, with --auth, the first certificate of a key.
 */
#include "certs.h"
#include "cmd.h"
#include "enrolment.h"
#include "json.h"
#include <stdio.h>
#include <string.h>

struct wish {
    struct enrolment what;
    const char *how;  /* --auth, NULL: by estd */
    const char *conf; /* of estd */
    bool json;
};

/* ---- options ---- */

#define ALL ((1u << ENROLMENT_SECRET) | (1u << ENROLMENT_BASIC) | (1u << ENROLMENT_MTLS) | (1u << ENROLMENT_CA))
#define EST (ALL & ~(1u << ENROLMENT_CA))

static const char *const hows[] = {
    [ENROLMENT_SECRET] = "secret", [ENROLMENT_BASIC] = "basic", [ENROLMENT_MTLS] = "mtls", [ENROLMENT_CA] = "ca"};

static bool find_how(struct wish *wish, struct t2c_error *err)
{
    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
        if (strcmp(wish->how, hows[i]) == 0) {
            wish->what.how = (enum enrolment_how)i;
            return true;
        }
    return cmd_fail_usage(err, "--auth %s is unknown; it is secret, basic, mtls or ca", wish->how);
}

/* Which option goes with which --auth, as bits, and must be there. */
static bool check(const struct wish *wish, struct t2c_error *err)
{
    const struct enrolment *what = &wish->what;
    const struct {
        const char *name, *value;
        unsigned allowed, needed;
    } rules[] = {{"subject", what->subject, ALL, ALL}, {"url", what->url, EST, EST}, {"trust", what->trust, EST, 0},
        {"trust-fingerprint", what->trust_fingerprint, EST, 0},
        {"secret-from", what->secret, 1u << ENROLMENT_SECRET, 1u << ENROLMENT_SECRET},
        {"header", what->header, 1u << ENROLMENT_SECRET, 0},
        {"user", what->user, 1u << ENROLMENT_BASIC, 1u << ENROLMENT_BASIC},
        {"password-from", what->password, 1u << ENROLMENT_BASIC, 1u << ENROLMENT_BASIC},
        {"method", what->method, 1u << ENROLMENT_BASIC, 0},
        {"by", what->by, 1u << ENROLMENT_MTLS, 1u << ENROLMENT_MTLS},
        {"by-auth", what->by_auth, 1u << ENROLMENT_MTLS, 0}, {"ca", what->ca, 1u << ENROLMENT_CA, 1u << ENROLMENT_CA}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].value == NULL && (rules[i].needed & 1u << what->how) != 0)
            return cmd_fail_usage(err, "--auth %s wants --%s", wish->how, rules[i].name);
        if (rules[i].value != NULL && (rules[i].allowed & 1u << what->how) == 0)
            return cmd_fail_usage(err, "--%s does not go with --auth %s", rules[i].name, wish->how);
    }
    if (what->how != ENROLMENT_CA && what->trust == NULL && what->trust_fingerprint == NULL)
        return cmd_fail_usage(err, "--auth %s wants --trust or --trust-fingerprint, to know the server by", wish->how);
    return true;
}

/* Without --auth only --config and --json have a meaning. */
static bool check_estd(const struct wish *wish, struct t2c_error *err)
{
    const struct enrolment *what = &wish->what;
    const char *const others[] = {what->subject, what->san, what->eku, what->profile, what->url, what->trust,
        what->trust_fingerprint, what->secret, what->header, what->user, what->password, what->method, what->by,
        what->by_auth, what->ca, what->auth};
    bool any = what->force;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        any = any || others[i] != NULL;
    return !any ||
        cmd_fail_usage(err, "--auth is missing: secret, basic, mtls or ca; without it estd's configuration says all");
}

static bool parse(int argc, char **argv, struct wish *wish, struct t2c_error *err)
{
    struct enrolment *what = &wish->what;
    const struct cmd_option options[] = {{"config", &wish->conf, NULL}, {"auth", &wish->how, NULL},
        {"url", &what->url, NULL}, {"trust", &what->trust, NULL}, {"trust-fingerprint", &what->trust_fingerprint, NULL},
        {"subject", &what->subject, NULL}, {"san", &what->san, NULL}, {"eku", &what->eku, NULL},
        {"profile", &what->profile, NULL}, {"user", &what->user, NULL}, {"password-from", &what->password, NULL},
        {"method", &what->method, NULL}, {"header", &what->header, NULL}, {"secret-from", &what->secret, NULL},
        {"by", &what->by, NULL}, {"by-auth", &what->by_auth, NULL}, {"ca", &what->ca, NULL},
        {"key-auth", &what->auth, NULL}, {"force", NULL, &what->force}, {"json", NULL, &wish->json}};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &what->name, 1, err))
        return false;
    if (wish->how == NULL)
        return check_estd(wish, err);
    if (!find_how(wish, err) || !check(wish, err))
        return false;
    if (wish->conf != NULL)
        return cmd_fail_usage(err, "--config is for a certificate of estd, without --auth");
    if (what->how == ENROLMENT_SECRET && what->header == NULL)
        what->header = "Secret-Value";
    return cmd_check_name(what->name, err) && (what->by == NULL || cmd_check_name(what->by, err));
}

/* ---- the verb ---- */

static bool print_json(const struct wish *wish, const struct enrolment_end *end, struct t2c_error *err)
{
    fputs("{\"name\": ", stdout);
    json_text(wish->what.name);
    printf(", \"exists\": %s, \"place\": ", end->exists ? "true" : "false");
    json_text(end->where);
    fputs(", ", stdout);
    return certs_print_chain(end->chain, err);
}

static bool print_text(const struct wish *wish, const struct enrolment_end *end, struct t2c_error *err)
{
    printf("%s: %s %s\n", wish->what.name,
        end->exists     ? "a certificate with that name is in force, so nothing was asked for; it is in"
            : end->kept ? "the certificate that an interrupted enrolment had brought is stored in"
                        : "certificate stored in",
        end->where);
    return certs_print(sk_X509_value(end->chain, 0), err);
}

static bool enroll(const struct wish *wish, struct t2c_error *err)
{
    T2C_CLEANUP(enrolment_end_fini) struct enrolment_end end = {0};
    if (!enrolment_run(&wish->what, &end, err))
        return false;
    return wish->json ? print_json(wish, &end, err) : print_text(wish, &end, err);
}

static bool enroll_by_estd(const struct wish *wish, struct t2c_error *err)
{
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    char text[ENROLMENT_TEXT_MAX];
    if (!estd_find(wish->conf, &place, err) || !enrolment_by_estd(&place, wish->what.name, false, true, text, err))
        return false;
    if (!wish->json) {
        printf("%s: %s\n", wish->what.name, text);
        return true;
    }
    fputs("{\"name\": ", stdout);
    json_text(wish->what.name);
    fputs(", \"outcome\": ", stdout);
    json_text(text);
    puts("}");
    return true;
}

bool cmd_enroll(int argc, char **argv, struct t2c_error *err)
{
    struct wish wish = {0};
    return parse(argc, argv, &wish, err) && (wish.how != NULL ? enroll(&wish, err) : enroll_by_estd(&wish, err));
}
