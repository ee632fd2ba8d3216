/*
 * What two real servers answered, byte for byte, in data/est: Cisco's libest 3.2.0p and GlobalSign's est 1.0.6. Each
 * answer is judged and decoded as its row says, and no answer is without a row.
 */
#include "../estd/accept.h"
#include "../estd/csrattrs.h"
#include "../estd/est.h"

#include "tpm2cloud/file.h"
#include "check_main.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define NOW INT64_C(1795318125) /* 2026-11-22T03:28:45Z, when the last of them came */

enum content { CONTENT_NONE, CONTENT_CA, CONTENT_ISSUED, CONTENT_CSRATTRS };

static const struct {
    const char *name;
    enum est_op op;
    long status;
    enum content content;
    enum t2c_code code;
    const char *text;      /* of the error */
    int64_t retry_after_s; /* -1: none */
    bool possession;       /* the refusal speaks of it */
} captures[] = {
    {"libest/cacerts", EST_CACERTS, 200, CONTENT_CA, T2C_OK, "", -1, false},
    {"libest/csrattrs", EST_CSRATTRS, 200, CONTENT_CSRATTRS, T2C_OK, "", -1, false},
    {"libest/csrattrs_pop", EST_CSRATTRS, 200, CONTENT_CSRATTRS, T2C_OK, "binding", -1, false},
    {"libest/enroll_basic", EST_SIMPLEENROLL, 200, CONTENT_ISSUED, T2C_OK, "", -1, false},
    {"libest/mtls_n_cert", EST_SIMPLEENROLL, 200, CONTENT_ISSUED, T2C_OK, "", -1, false},
    {"libest/manual1", EST_SIMPLEENROLL, 202, CONTENT_NONE, T2C_RETRY, "accepted, but not issued yet", 3600, false},
    {"libest/enroll_badcsr", EST_SIMPLEENROLL, 400, CONTENT_NONE, T2C_INVALID,
        "(it says: \"Error 400: Bad Request Invalid or corrupted pkcs10 request.\")", -1, false},
    {"libest/enroll_badpw", EST_SIMPLEENROLL, 401, CONTENT_NONE, T2C_AUTH,
        "(it says: \"Error 401: Unauthorized The server was unable to authorize the request.\")", -1, false},
    {"libest/digest_noauth", EST_SIMPLEENROLL, 401, CONTENT_NONE, T2C_AUTH, "not authenticated", -1, false},
    {"libest/pop_required_nopop", EST_SIMPLEENROLL, 401, CONTENT_NONE, T2C_AUTH,
        "(it says: \"Error 401: Unauthorized Proof of Possession Mismatch.\")", -1, true},
    {"globalsign/cacerts", EST_CACERTS, 200, CONTENT_CA, T2C_OK, "", -1, false},
    {"globalsign/csrattrs", EST_CSRATTRS, 200, CONTENT_CSRATTRS, T2C_OK, "binding", -1, false},
    {"globalsign/csrattrs_empty", EST_CSRATTRS, 200, CONTENT_CSRATTRS, T2C_OK, "empty", -1, false},
    {"globalsign/enroll", EST_SIMPLEENROLL, 200, CONTENT_ISSUED, T2C_OK, "", -1, false},
    {"globalsign/enroll_wrongct", EST_SIMPLEENROLL, 415, CONTENT_NONE, T2C_INVALID,
        "(it says: \"415 Content-Type must be application/pkcs10\")", -1, false},
    {"globalsign/reenroll_ok", EST_SIMPLEREENROLL, 200, CONTENT_ISSUED, T2C_OK, "", -1, false},
    {"globalsign/reenroll_nocert", EST_SIMPLEREENROLL, 403, CONTENT_NONE, T2C_AUTH,
        "(it says: \"403 client certificate must be provided for /simplereenroll\")", -1, false},
    {"globalsign/reenroll_subjchange", EST_SIMPLEREENROLL, 403, CONTENT_NONE, T2C_AUTH,
        "(it says: \"403 Subject and SubjectAltName fields in CSR must be identical to certificate being renewed\")",
        -1, false},
    {"globalsign/trig_Deferred", EST_SIMPLEENROLL, 202, CONTENT_NONE, T2C_RETRY,
        "(it says: \"202 triggered deferred response\")", 600, false},
    {"globalsign/trig_Forbidden", EST_SIMPLEENROLL, 403, CONTENT_NONE, T2C_AUTH,
        "(it says: \"403 triggered forbidden response\")", -1, false},
    {"globalsign/trig_Unknown", EST_SIMPLEENROLL, 500, CONTENT_NONE, T2C_RETRY,
        "(it says: \"500 internal server error\")", -1, false},
};

/* ---- the data ---- */

static void path_of(const char *name, const char *suffix, char *out, size_t out_len)
{
    const char *srcdir = getenv("srcdir");
    snprintf(out, out_len, "%s/test/data/est/%s%s", srcdir != NULL ? srcdir : ".", name, suffix);
}

static void read_data(const char *name, const char *suffix, struct t2c_bytes *out)
{
    char path[4096];
    struct t2c_error err = {0};
    path_of(name, suffix, path, sizeof(path));
    ck_assert_msg(t2c_file_read(path, 65536, out, &err), "%s", err.text);
}

/* Gives the value of a header, or "" without it. */
static void header_of(const struct t2c_bytes *headers, const char *name, char *out, size_t out_len)
{
    char line[80];
    snprintf(line, sizeof(line), "\n%s: ", name);
    const char *at = strstr((const char *)headers->data, line);
    at = at != NULL ? at + strlen(line) : "";
    snprintf(out, out_len, "%.*s", (int)strcspn(at, "\r\n"), at);
}

struct capture {
    struct t2c_bytes headers, body;
    char type[128], retry_after[64];
    struct est_reply reply;
};

static void capture_fini(struct capture *capture)
{
    t2c_bytes_fini(&capture->headers);
    t2c_bytes_fini(&capture->body);
}

static void read_capture(const char *name, struct capture *out)
{
    read_data(name, ".headers", &out->headers);
    read_data(name, ".body", &out->body);
    header_of(&out->headers, "Content-Type", out->type, sizeof(out->type));
    header_of(&out->headers, "Retry-After", out->retry_after, sizeof(out->retry_after));
    ck_assert_int_eq(sscanf((const char *)out->headers.data, "HTTP/1.1 %ld", &out->reply.status), 1);
    out->reply.content_type = out->type[0] != '\0' ? out->type : NULL;
    out->reply.body = out->body.data;
    out->reply.body_len = out->body.len;
}

static void read_anchors(STACK_OF(X509) **out)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    read_data("libest/estca", ".pem", &pem);
    ck_assert(t2c_cert_parse_pem(pem.data, pem.len, out, NULL));
}

/* ---- what is in it ---- */

static void assert_ca(const STACK_OF(X509) *certs)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = NULL;
    read_anchors(&anchors);
    ck_assert_int_eq(sk_X509_num(certs), 1);
    ck_assert_int_eq(X509_cmp(sk_X509_value(certs, 0), sk_X509_value(anchors, 0)), 0);
}

/* It is what estd would install, for the request that was sent. */
static void assert_issued(const STACK_OF(X509) *certs)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *anchors = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    struct t2c_error err = {0};
    read_anchors(&anchors);
    read_data("libest/dev.csr", ".der", &der);
    const unsigned char *at = der.data;
    req = d2i_X509_REQ(NULL, &at, (long)der.len);
    ck_assert_ptr_nonnull(req);
    struct accept_rules rules = {.key = X509_REQ_get0_pubkey(req), .anchors = anchors, .now_s = NOW};
    ck_assert_msg(accept_chain(certs, &rules, &chain, &err), "%s", err.text);
    ck_assert_int_eq(sk_X509_num(chain), 1);
    ck_assert_msg(accept_names(sk_X509_value(chain, 0), "/CN=device-001", NULL, &err), "%s", err.text);
}

static void assert_certs(const struct capture *capture, enum content content)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    ck_assert_msg(est_decode_certs(capture->body.data, capture->body.len, &certs, &err), "%s", err.text);
    if (content == CONTENT_CA)
        assert_ca(certs);
    else
        assert_issued(certs);
}

/* Both want P-384 and SHA-384; one wants them as bare OIDs. WHAT: "binding", "empty" or "". */
static void assert_csrattrs(const struct capture *capture, const char *what)
{
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    struct t2c_error err = {0};
    size_t n = strcmp(what, "empty") == 0 ? 0 : 1;
    ck_assert_msg(csrattrs_decode(capture->body.data, capture->body.len, &attrs, &err), "%s", err.text);
    ck_assert_int_eq(attrs.wants_binding, strcmp(what, "binding") == 0);
    ck_assert_uint_eq(attrs.keys_n, n);
    ck_assert_uint_eq(attrs.digests_n, n);
    ck_assert(n == 0 || (attrs.keys[0].curve == NID_secp384r1 && attrs.digests[0].nid == NID_sha384));
    ck_assert(attrs.names_n == 0 && attrs.extensions == NULL && !attrs.wants_linking && !attrs.has_template);
}

START_TEST(capture_is_understood)
{
    T2C_CLEANUP(capture_fini) struct capture capture = {0};
    struct t2c_error err = {0};
    const char *text = captures[_i].text;
    read_capture(captures[_i].name, &capture);
    ck_assert_int_eq(capture.reply.status, captures[_i].status);
    ck_assert_int_eq(est_check(captures[_i].op, &capture.reply, &err), captures[_i].code == T2C_OK);
    ck_assert_int_eq(err.code, captures[_i].code);
    ck_assert_msg(captures[_i].code == T2C_OK || strstr(err.text, text) != NULL, "%s", err.text);
    ck_assert_int_eq(est_retry_after_s(capture.retry_after[0] != '\0' ? capture.retry_after : NULL, NOW),
        captures[_i].retry_after_s);
    ck_assert_int_eq(est_names_possession(capture.body.data, capture.body.len), captures[_i].possession);
    if (captures[_i].content == CONTENT_CSRATTRS)
        assert_csrattrs(&capture, text);
    else if (captures[_i].content != CONTENT_NONE)
        assert_certs(&capture, captures[_i].content);
}
END_TEST

/* What is taken for certificates is so for all that a server might send by mistake. */
START_TEST(capture_is_nothing_else)
{
    T2C_CLEANUP(capture_fini) struct capture capture = {0};
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error err = {0};
    enum content content = captures[_i].content;
    read_capture(captures[_i].name, &capture);
    if (content != CONTENT_CA && content != CONTENT_ISSUED) {
        ck_assert(!est_decode_certs(capture.body.data, capture.body.len, &certs, &err));
        ck_assert_int_eq(err.code, T2C_PROTO);
    }
    if (content != CONTENT_CSRATTRS && capture.body.len > 0) {
        ck_assert(!csrattrs_decode(capture.body.data, capture.body.len, &attrs, &err));
        ck_assert_int_eq(err.code, T2C_PROTO);
    }
}
END_TEST

static int count_answers(const char *server)
{
    char path[4096];
    int found = 0;
    path_of(server, "", path, sizeof(path));
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        found += strstr(entry->d_name, ".headers") != NULL ? 1 : 0;
    closedir(dir);
    return found;
}

START_TEST(no_capture_is_forgotten)
{
    ck_assert_int_eq(count_answers("libest") + count_answers("globalsign"), COUNT(captures));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("captures");
    TCase *t = tcase_create("captures");
    tcase_add_loop_test(t, capture_is_understood, 0, COUNT(captures));
    tcase_add_loop_test(t, capture_is_nothing_else, 0, COUNT(captures));
    tcase_add_test(t, no_capture_is_forgotten);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
