/*
 * tpm2cloud ca init | sign
 */
#include "ca.h"
#include "certs.h"
#include "cmd.h"
#include "json.h"
#include "tpm2cloud/file.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REQUEST_MAX (64 * 1024)

/* ---- init ---- */

static bool print_json(const struct ca *ca, bool made, struct t2c_error *err)
{
    fputs("{\"directory\": ", stdout);
    json_text(ca->dir);
    printf(", \"made\": %s, \"root\": {", made ? "true" : "false");
    if (!certs_print_json(ca->root, err))
        return false;
    fputs("},\n \"issuing\": {", stdout);
    if (!certs_print_json(ca->issuing, err))
        return false;
    puts("}}");
    return true;
}

static bool print_text(const struct ca *ca, bool made, struct t2c_error *err)
{
    printf("%s: %s\nroot.pem\n", ca->dir,
        made ? "a CA for development, with its keys in files: rely on it for nothing else"
             : "this CA was there before, and is unchanged");
    if (!certs_print(ca->root, err))
        return false;
    puts("issuing.pem");
    return certs_print(ca->issuing, err);
}

bool cmd_ca_init(int argc, char **argv, struct t2c_error *err)
{
    const char *dir = NULL, *name = NULL, *alg = NULL;
    bool json = false, made = false;
    const struct cmd_option options[] = {{"name", &name, NULL}, {"alg", &alg, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(ca_fini) struct ca ca = {0};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &dir, 1, err) ||
        !ca_init(dir, name, alg, time(NULL), &ca, &made, err))
        return false;
    return json ? print_json(&ca, made, err) : print_text(&ca, made, err);
}

/* ---- sign ---- */

struct request {
    const char *dir, *csr, *profile, *days, *out;
    struct ca_wish wish;
    bool json;
};

static X509_REQ *parse_request(const struct t2c_bytes *bytes)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(bytes->data, (int)bytes->len);
    if (bytes->len == 0 || bytes->data[0] != 0x30)
        return bio != NULL ? PEM_read_bio_X509_REQ(bio, NULL, t2c_no_passphrase, NULL) : NULL;
    const unsigned char *at = bytes->data;
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)bytes->len);
    return at == bytes->data + bytes->len ? T2C_STEAL(req) : NULL;
}

static bool read_request(const char *path, X509_REQ **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    T2C_CLEANUP(t2c_closep) int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    if (!t2c_file_read_fd(fd, path, REQUEST_MAX, &bytes, err))
        return false;
    *out = parse_request(&bytes);
    if (*out != NULL)
        return true;
    ERR_clear_error();
    return t2c_fail(err, T2C_INVALID, "%s holds no request (PKCS#10) as PEM or DER", path);
}

static bool parse_sign(int argc, char **argv, struct request *request, struct t2c_error *err)
{
    struct ca_wish *wish = &request->wish;
    const struct cmd_option options[] = {{"csr", &request->csr, NULL}, {"profile", &request->profile, NULL},
        {"days", &request->days, NULL}, {"out", &request->out, NULL}, {"json", NULL, &request->json},
        {"subject", &wish->subject, NULL}, {"san", &wish->san, NULL}, {"serial-number", &wish->serial_number, NULL},
        {"hardware-type", &wish->hardware_type, NULL}, {"hardware-serial", &wish->hardware_serial, NULL},
        {"cmc-ra", NULL, &wish->registration_authority}};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &request->dir, 1, err))
        return false;
    if (request->csr == NULL || request->profile == NULL)
        return cmd_fail_usage(err, "%s is missing", request->csr == NULL ? "--csr" : "--profile");
    return true;
}

/* What goes with which profile. Gives NULL when something does not. */
static const struct ca_profile *choose_profile(
    const struct request *request, int64_t *lifetime_s, struct t2c_error *err)
{
    const struct ca_profile *profile = ca_profile_find(request->profile);
    bool ok = true;
    if (profile == NULL)
        ok = cmd_fail_usage(err, "--profile %s is unknown; it is " CA_PROFILES, request->profile);
    else if (profile->days == 0 && request->days != NULL)
        ok = cmd_fail_usage(err, "--days: an %s certificate never expires (IEEE 802.1AR)", profile->name);
    else if (request->wish.registration_authority && !profile->hosts_needed)
        ok = cmd_fail_usage(err, "--cmc-ra is for servers");
    else if (request->wish.hardware_type != NULL && !profile->hardware && request->wish.hardware_serial == NULL)
        ok = cmd_fail_usage(err, "--hardware-type wants --hardware-serial");
    else if (request->days != NULL)
        ok = certs_lifetime(request->days, lifetime_s, err);
    else
        *lifetime_s = (int64_t)profile->days * 86400;
    return ok ? profile : NULL;
}

/* An identity for life is given once: gives the certificate that is in FILE when it is the one wanted, NULL otherwise. */
static X509 *find_issued(const struct ca *ca, const char *file, X509_REQ *req, const struct ca_plan *plan)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
    struct t2c_error why = {0};
    if (file == NULL || strcmp(file, "-") == 0 || !t2c_cert_read_file(file, &found, &why))
        return NULL;
    return ca_has_issued(ca, req, plan, sk_X509_value(found, 0)) ? sk_X509_shift(found) : NULL;
}

static bool issue(const struct request *request, const struct ca *ca, X509_REQ *req, const struct ca_plan *plan,
    int64_t now_s, int64_t lifetime_s, X509 **cert, struct t2c_error *err)
{
    if (lifetime_s == 0 && (*cert = find_issued(ca, request->out, req, plan)) != NULL) {
        fprintf(stderr, "tpm2cloud: %s has that certificate already, and keeps it\n", request->out);
        return true;
    }
    return ca_sign(ca, req, plan, now_s, lifetime_s, cert, err);
}

static bool sign(const struct request *request, X509 **cert, struct ca *ca, struct t2c_error *err)
{
    int64_t lifetime_s = 0;
    const int64_t now_s = time(NULL);
    const struct ca_profile *profile = choose_profile(request, &lifetime_s, err);
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    T2C_CLEANUP(ca_plan_fini) struct ca_plan plan = {0};
    if (profile == NULL || !ca_open(request->dir, now_s, ca, err) || !read_request(request->csr, &req, err))
        return false;
    if (!ca_plan(profile, req, &request->wish, &plan, err))
        return t2c_fail_context(err, "%s", request->csr);
    if (plan.left_out.len > 0)
        fprintf(stderr,
            "tpm2cloud: the request asks for what an %s certificate does not have, and it is left out: %s\n",
            profile->name, (const char *)plan.left_out.data);
    return issue(request, ca, req, &plan, now_s, lifetime_s, cert, err);
}

bool cmd_ca_sign(int argc, char **argv, struct t2c_error *err)
{
    struct request request = {0};
    T2C_CLEANUP(ca_fini) struct ca ca = {0};
    T2C_CLEANUP(t2c_x509_freep) X509 *cert = NULL;
    return parse_sign(argc, argv, &request, err) && sign(&request, &cert, &ca, err) &&
        certs_write(cert, ca.issuing, request.out, request.json, err);
}
