/* estca sign: a certificate for a CSR in a file. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd.h"
#include "csr.h"
#include "file.h"
#include "own.h"
#include "pki.h"

#define LIFETIME_S (365 * (int64_t)86400)
#define TEN_THOUSAND_YEARS_S (10000 * (int64_t)31557600)

struct settings {
    const char *csr;
    const char *out;
    int64_t lifetime_s; /* 0: not given */
    const char *not_after;
    int64_t not_before_s; /* from now */
};

#define AT(member) offsetof(struct settings, member)

static const struct opt opts[] = {
    {"csr", "FILE", "the CSR, PEM or DER", OPT_TEXT, AT(csr), 0, 0, NULL},
    {"out", "FILE", "where leaf and intermediate go, in PEM (stdout)", OPT_TEXT, AT(out), 0, 0, NULL},
    {"lifetime", "SECONDS", "notAfter - notBefore (365 days)", OPT_NUMBER, AT(lifetime_s), 1, TEN_THOUSAND_YEARS_S,
        NULL},
    {"not-after", "YYYYMMDDHHMMSSZ", "instead of --lifetime", OPT_TIME, AT(not_after), 0, 0, NULL},
    {"not-before", "OFFSET_S", "seconds from now (0)", OPT_NUMBER, AT(not_before_s), -TEN_THOUSAND_YEARS_S,
        TEN_THOUSAND_YEARS_S, NULL},
};

static bool sign(const struct pki *pki, const struct settings *settings, struct bytes *text, struct fail *err)
{
    OWN(req_freep) X509_REQ *csr = NULL;
    OWN(x509_freep) X509 *cert = NULL;
    OWN(issue_order_fini) struct issue_order order = {0};

    if (!csr_read_file(settings->csr, &csr, err) || !csr_order(csr, &order, err))
        return false;
    order.not_before_s = (int64_t)time(NULL) + settings->not_before_s;
    order.lifetime_s = settings->lifetime_s != 0 ? settings->lifetime_s : LIFETIME_S;
    order.not_after = settings->not_after;
    issue_set_issuer(&order, pki->ca, pki->ca_key);
    return issue_cert(&order, &cert, err) && file_add_pem(text, cert, err) && file_add_pem(text, pki->ca, err);
}

static bool put(const struct bytes *text, const char *path, struct fail *err)
{
    if (path != NULL)
        return file_write(path, text, 0644, err);
    if (fwrite(text->p, 1, text->len, stdout) != text->len || fflush(stdout) != 0)
        return fail_errno(err, "cannot print the certificate");
    return true;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct fail err;
    const char *dir = NULL;
    struct settings settings = {0};
    OWN(pki_fini) struct pki pki = {0};
    OWN(bytes_fini) struct bytes text = {0};

    bool ok = opts_parse(verb, argc, argv, &settings, &dir, &err);
    if (ok && settings.csr == NULL)
        ok = fail(&err, "give the CSR: --csr FILE");
    if (ok && settings.lifetime_s != 0 && settings.not_after != NULL)
        ok = fail(&err, "--lifetime and --not-after exclude each other");
    if (!ok)
        return cmd_say(verb, &err, EXIT_USAGE);
    if (!pki_load(dir, &pki, &err) || !sign(&pki, &settings, &text, &err) || !put(&text, settings.out, &err))
        return cmd_say(verb, &err, EXIT_FAILURE);
    return EXIT_SUCCESS;
}

const struct verb cmd_sign = {
    "sign",
    "DIR --csr FILE [options]",
    "Sign a CSR with DIR's issuing CA; print the certificate and the intermediate.",
    opts,
    sizeof(opts) / sizeof(opts[0]),
    run,
};
