/* estca serve: settings into a server, then run it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "file.h"
#include "own.h"
#include "serve.h"
#include "tls.h"

#define DAY_S 86400
#define LIFETIME_MAX_S (8000 * (int64_t)365 * DAY_S)

struct settings {
    int64_t port;
    const char *port_file;
    const char *log;
    struct tls_settings tls;
    int auth;   /* enum auth_mode */
    int digest; /* enum digest_algorithm */
    struct opt_list users;
    const char *user_file;
    const char *base;
    int wrap; /* index into wrap_words */
    bool crlf;
    bool lax;
    bool sub_ca;
    bool with_chain;
    const char *header;
    int binding; /* enum binding_rule */
    const char *cacerts;
    const char *csrattrs;
    const char *hint;
    const char *refused;
    int64_t lifetime_s; /* 0: not given */
    const char *not_after;
    int64_t backdate_s;
    struct opt_list faults;
    int fault_op; /* index into est_ops, -1: not given */
};

#define AT(member) offsetof(struct settings, member)

static const char *const auth_words[] = {"mtls", "basic", "digest", "header", "any", "none", NULL};
static const char *const digest_words[] = {"MD5", "SHA-256", NULL};
static const char *const binding_words[] = {"check", "require", "ignore", NULL};
static const char *const wrap_words[] = {"64", "76", "0", NULL};
static const unsigned wraps[] = {64, 76, 0};
static const char *const tls_words[] = {"any", "1.2", "1.3", NULL};

static const struct opt opts[] = {
    {"port", "N", "on 127.0.0.1 (0: the kernel chooses); printed as port=N", OPT_NUMBER, AT(port), 0, 65535, NULL},
    {"port-file", "FILE", "write the number there too", OPT_TEXT, AT(port_file), 0, 0, NULL},
    {"log", "FILE", "append a line a request (stderr)", OPT_TEXT, AT(log), 0, 0, NULL},
    {"client-ca", "FILE", "PEM bundle of trust anchors for clients", OPT_LIST, AT(tls.client_ca), 0, 0, NULL},
    {"no-own-client-ca", NULL, "do not trust our own certificates", OPT_FLAG, AT(tls.no_own_client_ca), 0, 0, NULL},
    {"tls", "any|1.2|1.3", "only this version", OPT_WORD, AT(tls.version), 0, 0, tls_words},
    {"groups", "LIST", "key exchange groups, such as P-256", OPT_TEXT, AT(tls.groups), 0, 0, NULL},
    {"tickets", NULL, "session tickets on", OPT_FLAG, AT(tls.tickets), 0, 0, NULL},
    {"client-cert-required", NULL, "no TLS without a client certificate", OPT_FLAG, AT(tls.client_cert_required), 0, 0,
        NULL},
    {"client-cert-late", NULL, "ask for it when a request is posted (TLS 1.3)", OPT_FLAG, AT(tls.client_cert_late), 0,
        0, NULL},
    {"no-ems", NULL, "no extended master secret in TLS 1.2", OPT_FLAG, AT(tls.no_ems), 0, 0, NULL},
    {"renegotiation", NULL, "clients may renegotiate in TLS 1.2", OPT_FLAG, AT(tls.renegotiation), 0, 0, NULL},
    {"auth", "mtls|basic|digest|header|any|none", "who may enrol (mtls)", OPT_WORD, AT(auth), 0, 0, auth_words},
    {"digest", "MD5|SHA-256", "how Digest digests (MD5)", OPT_WORD, AT(digest), 0, 0, digest_words},
    {"user", "NAME:PASSWORD", "who may enrol by HTTP Basic or Digest", OPT_LIST, AT(users), 0, 0, NULL},
    {"user-file", "FILE", "lines of NAME:PASSWORD", OPT_TEXT, AT(user_file), 0, 0, NULL},
    {"header", "NAME:VALUE", "who may enrol by --auth header", OPT_TEXT, AT(header), 0, 0, NULL},
    {"binding", "check|require|ignore", "requests tied to their connection (check)", OPT_WORD, AT(binding), 0, 0,
        binding_words},
    {"base", "PATH", "the path in front of [/LABEL]/OP (/.well-known/est)", OPT_TEXT, AT(base), 0, 0, NULL},
    {"wrap", "64|76|0", "columns of base64 (64); 0: one line, without its end", OPT_WORD, AT(wrap), 0, 0, wrap_words},
    {"crlf", NULL, "lines of base64 end with CRLF", OPT_FLAG, AT(crlf), 0, 0, NULL},
    {"lax", NULL, "simplereenroll is admitted like simpleenroll", OPT_FLAG, AT(lax), 0, 0, NULL},
    {"sub-ca", NULL, "a request for a CA's certificate gets one", OPT_FLAG, AT(sub_ca), 0, 0, NULL},
    {"with-chain", NULL, "add issuing CA and root to the certificate", OPT_FLAG, AT(with_chain), 0, 0, NULL},
    {"cacerts", "FILE", "PEM bundle for cacerts (issuing CA and root)", OPT_TEXT, AT(cacerts), 0, 0, NULL},
    {"csrattrs", "BASE64", "what csrattrs answers (204)", OPT_TEXT, AT(csrattrs), 0, 0, NULL},
    {"renewal-info", "FILE", "what renewal-info answers, read each time; 404 without it", OPT_TEXT, AT(hint), 0, 0,
        NULL},
    {"refuse", "FILE", "lines of SERIAL and the alert or HTTP status for it", OPT_TEXT, AT(refused), 0, 0, NULL},
    {"lifetime", "SECONDS", "notAfter - notBefore (30 days)", OPT_NUMBER, AT(lifetime_s), 1, LIFETIME_MAX_S, NULL},
    {"not-after", "YYYYMMDDHHMMSSZ", "instead of --lifetime", OPT_TIME, AT(not_after), 0, 0, NULL},
    {"backdate", "S", "notBefore is that long ago (0)", OPT_NUMBER, AT(backdate_s), 0, 100 * 365 * (int64_t)DAY_S,
        NULL},
    {"fault", "SPEC", "do something wrong; see below", OPT_LIST, AT(faults), 0, 0, NULL},
    {"fault-op", "OP", "disturb only this operation (both enrolments)", OPT_WORD, AT(fault_op), 0, 0, est_ops},
};

static bool set_csrattrs(struct est *est, const char *text, struct fail *err)
{
    if (text == NULL)
        return true;
    if (!bytes_add_decoded(&est->csrattrs, (const uint8_t *)text, strlen(text)) || est->csrattrs.len == 0)
        return fail(err, "--csrattrs %s: not base64", text);
    return true;
}

/* What can be wrong in the command line. */
static bool set_up_est(const struct settings *settings, struct est *est, struct fail *err)
{
    const char *fault_op = settings->fault_op >= 0 ? est_ops[settings->fault_op] : NULL;
    if (settings->lifetime_s != 0 && settings->not_after != NULL)
        return fail(err, "--lifetime and --not-after exclude each other");
    if (settings->base != NULL && (settings->base[0] != '/' || settings->base[strlen(settings->base) - 1] == '/'))
        return fail(err, "--base %s: begin with a slash, and end without one", settings->base);
    est->base = settings->base != NULL ? settings->base : "/.well-known/est";
    est->columns = wraps[settings->wrap];
    est->eol = settings->crlf ? "\r\n" : "\n";
    est->binding = (enum binding_rule)settings->binding;
    est->hint = settings->hint;
    est->refused = settings->refused;
    est->lax = settings->lax;
    est->sub_ca = settings->sub_ca;
    est->with_chain = settings->with_chain;
    est->lifetime_s = settings->lifetime_s != 0 ? settings->lifetime_s : 30 * (int64_t)DAY_S;
    est->not_after = settings->not_after;
    est->backdate_s = settings->backdate_s;
    return set_csrattrs(est, settings->csrattrs, err) &&
        auth_init(&est->auth, (enum auth_mode)settings->auth, (enum digest_algorithm)settings->digest, &settings->users,
            settings->user_file, err) &&
        auth_set_header(&est->auth, settings->header, err) &&
        faults_init(&est->faults, &settings->faults, fault_op, err);
}

/* What can be wrong outside. */
static bool set_up_rest(const struct settings *settings, const char *dir, struct serve *serve, struct fail *err)
{
    serve->port = settings->port;
    serve->port_file = settings->port_file;
    return (settings->cacerts == NULL || file_read_certs(settings->cacerts, &serve->est.cacerts, err)) &&
        pki_load(dir, &serve->est.pki, err) && tls_new(&serve->est.pki, &settings->tls, &serve->ctx, err) &&
        log_open(&serve->log, settings->log, err);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct fail err;
    const char *dir = NULL;
    struct settings settings = {.fault_op = -1};
    static struct serve serve;
    bool all_gone = true, ok = false;
    int code = EXIT_USAGE;

    if (opts_parse(verb, argc, argv, &settings, &dir, &err) && set_up_est(&settings, &serve.est, &err)) {
        code = EXIT_FAILURE;
        ok = set_up_rest(&settings, dir, &serve, &err) && serve_run(&serve, &all_gone, &err);
    }
    if (!all_gone)
        _exit(ok ? EXIT_SUCCESS : EXIT_FAILURE); /* threads still use what would be freed */
    serve_fini(&serve);
    return ok ? EXIT_SUCCESS : cmd_say(verb, &err, code);
}

const struct verb cmd_serve = {
    "serve",
    "DIR [options]",
    "Be the EST server of DIR's CA until SIGTERM.",
    opts,
    sizeof(opts) / sizeof(opts[0]),
    run,
};
