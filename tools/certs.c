/*
 * Anchors, intermediates and what is imported come from files, DER or PEM, one or many in each.
 */
#include "certs.h"

#include "cmd.h"
#include "json.h"
#include "tpm2cloud/alg.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (4 * 1024 * 1024)

/* ---- where they are ---- */

bool certs_read(const char *path, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes bytes = {0};
    T2C_CLEANUP(t2c_closep) int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return t2c_fail_errno(err, errno, "cannot open %s", path);
    if (!t2c_file_read_fd(fd, path, FILE_MAX, &bytes, err))
        return false;
    return t2c_cert_parse(bytes.data, bytes.len, out, err) || t2c_fail_context(err, "%s", path);
}

static bool collect_file(const char *path, STACK_OF(X509) *all, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
    if (!certs_read(path, &found, err))
        return false;
    for (X509 *cert; (cert = sk_X509_shift(found)) != NULL;)
        if (sk_X509_push(all, cert) <= 0) {
            X509_free(cert);
            return t2c_fail_nomem(err);
        }
    return true;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool collect_dir(const char *dir, STACK_OF(X509) *all, struct t2c_error *err)
{
    struct dirent **found = NULL;
    int n = scandir(dir, &found, is_visible, alphasort);
    if (n < 0)
        return t2c_fail_errno(err, errno, "cannot list %s", dir);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        struct t2c_error why = {0};
        snprintf(path, sizeof(path), "%s/%s", dir, found[i]->d_name);
        if (!collect_file(path, all, &why))
            fprintf(stderr, "tpm2cloud: passed over: %s\n", why.text);
        free(found[i]);
    }
    free(found);
    return true;
}

bool certs_collect(const char *path, STACK_OF(X509) *all, struct t2c_error *err)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot read certificates from %s", path);
    return S_ISDIR(found.st_mode) ? collect_dir(path, all, err) : collect_file(path, all, err);
}

/* ---- what is told of one ---- */

/* LEN: what an i2d function returned for DER. */
static bool hash_der(const unsigned char *der, int len, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    return len > 0 ? t2c_host_sha256_hex(der, (size_t)len, out, err)
                   : t2c_fail_openssl(err, T2C_NOMEM, "cannot encode what is to be hashed");
}

bool certs_hash(const X509 *cert, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    return hash_der(der, len, out, err);
}

bool certs_key_hash(const X509 *cert, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    return hash_der(der, len, out, err);
}

bool certs_pkey_hash(const EVP_PKEY *key, char out[T2C_SHA256_HEX_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    return hash_der(der, len, out, err);
}

void certs_key_text(const X509 *cert, char *out, size_t out_len)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    const enum t2c_alg alg = key != NULL ? t2c_alg_of_pkey(key) : T2C_ALG_OTHER;
    if (key == NULL)
        snprintf(out, out_len, "unusable");
    else if (alg != T2C_ALG_OTHER)
        snprintf(out, out_len, "%s", t2c_alg_name(alg));
    else
        snprintf(out, out_len, "%s-%d", EVP_PKEY_is_a(key, "RSA") ? "rsa" : EVP_PKEY_get0_type_name(key),
            EVP_PKEY_get_bits(key));
}

struct facts {
    char subject[256], issuer[256], key[48], hash[T2C_SHA256_HEX_MAX], key_hash[T2C_SHA256_HEX_MAX];
    char serial[2 * 64 + 1];
    int64_t not_before_s, not_after_s;
    bool timed; /* whether these can be read */
};

static bool read_facts(const X509 *cert, struct facts *out, struct t2c_error *err)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int serial_len = ASN1_STRING_length(serial) < 64 ? ASN1_STRING_length(serial) : 64;
    t2c_hex(ASN1_STRING_get0_data(serial), (size_t)serial_len, out->serial);
    t2c_cert_name_text(X509_get_subject_name(cert), out->subject, sizeof(out->subject));
    t2c_cert_name_text(X509_get_issuer_name(cert), out->issuer, sizeof(out->issuer));
    certs_key_text(cert, out->key, sizeof(out->key));
    out->timed = t2c_cert_validity(cert, &out->not_before_s, &out->not_after_s, NULL);
    return certs_hash(cert, out->hash, err) && certs_key_hash(cert, out->key_hash, err);
}

void certs_brief(const X509 *cert, char *out, size_t out_len)
{
    char subject[256], until[T2C_CIVIL_TEXT_MAX] = "unknown";
    int64_t before_s = 0, after_s = 0;
    t2c_cert_name_text(X509_get_subject_name(cert), subject, sizeof(subject));
    if (t2c_cert_validity(cert, &before_s, &after_s, NULL))
        t2c_civil_text(after_s, until);
    snprintf(out, out_len, "\"%s\", until %s", subject, until);
}

bool certs_print(const X509 *cert, struct t2c_error *err)
{
    struct facts facts = {0};
    char from[T2C_CIVIL_TEXT_MAX] = "unknown", until[T2C_CIVIL_TEXT_MAX] = "unknown";
    if (!read_facts(cert, &facts, err))
        return false;
    if (facts.timed) {
        t2c_civil_text(facts.not_before_s, from);
        t2c_civil_text(facts.not_after_s, until);
    }
    printf("  subject:     %s\n  issuer:      %s\n  serial:      %s\n  valid:       from %s until %s\n", facts.subject,
        facts.issuer, facts.serial, from, until);
    printf("  key:         %s, SHA-256 %s\n  SHA-256:     %s\n", facts.key, facts.key_hash, facts.hash);
    return true;
}

static bool print_der(const X509 *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    if (len <= 0)
        return t2c_fail_openssl(err, T2C_INVALID, "cannot encode a certificate");
    fputs(", ", stdout);
    return json_base64("der", der, (size_t)len, err);
}

static void print_member(const char *name, const char *text)
{
    json_name(name);
    json_text(text);
    fputs(", ", stdout);
}

static void print_time(const char *name, bool known, int64_t at_s)
{
    json_name(name);
    if (known)
        printf("%" PRId64 ", ", at_s);
    else
        fputs("null, ", stdout);
}

bool certs_print_json(const X509 *cert, struct t2c_error *err)
{
    struct facts facts = {0};
    if (!read_facts(cert, &facts, err))
        return false;
    print_member("subject", facts.subject);
    print_member("issuer", facts.issuer);
    print_member("serial", facts.serial);
    print_time("not_before_s", facts.timed, facts.not_before_s);
    print_time("not_after_s", facts.timed && facts.not_after_s < T2C_CERT_NEVER, facts.not_after_s);
    print_member("key", facts.key);
    print_member("key_sha256", facts.key_hash);
    json_name("sha256");
    json_text(facts.hash);
    return print_der(cert, err);
}

/* ---- what was issued ---- */

#define DAYS_MAX 36500

bool certs_lifetime(const char *days, int64_t *lifetime_s, struct t2c_error *err)
{
    char *end = NULL;
    long n = strtol(days, &end, 10);
    if (days[0] < '0' || days[0] > '9' || *end != '\0' || n < 1 || n > DAYS_MAX)
        return cmd_fail_usage(err, "--days %s is no number from 1 to %d", days, DAYS_MAX);
    *lifetime_s = (int64_t)n * 86400;
    return true;
}

bool certs_print_chain(const STACK_OF(X509) *chain, struct t2c_error *err)
{
    fputs("\"chain\": [", stdout);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        if (!certs_print_json(sk_X509_value(chain, i), err))
            return false;
        putchar('}');
    }
    puts("\n]}");
    return true;
}

static bool make_chain(X509 *cert, X509 *issuer, STACK_OF(X509) **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL || X509_add_cert(chain, cert, X509_ADD_FLAG_UP_REF) != 1 ||
        (issuer != NULL && X509_add_cert(chain, issuer, X509_ADD_FLAG_UP_REF) != 1))
        return t2c_fail_nomem(err);
    *out = T2C_STEAL(chain);
    return true;
}

bool certs_write_chain(const STACK_OF(X509) *chain, const char *path, bool json, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    const bool to_file = path != NULL && strcmp(path, "-") != 0;
    if (!t2c_cert_append_pem(chain, &pem, err) || ((!json || to_file) && !cmd_write(path, &pem, err)))
        return false;
    if (!json)
        return true;
    putchar('{');
    json_member("out", to_file ? path : NULL);
    fputs(", ", stdout);
    return certs_print_chain(chain, err);
}

bool certs_write(X509 *cert, X509 *issuer, const char *path, bool json, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    return make_chain(cert, issuer, &chain, err) && certs_write_chain(chain, path, json, err);
}
