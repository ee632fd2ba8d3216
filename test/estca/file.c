/* Small files; see file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own.h"

#define FILE_MAX ((size_t)1 << 20)

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_read(const char *path, struct bytes *out, struct fail *err)
{
    OWN(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot open %s", path);
    bytes_add(out, "", 0);
    for (;;) {
        char part[4096];
        ssize_t n = read(fd, part, sizeof(part));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "cannot read %s", path);
        if (n == 0)
            return true;
        bytes_add(out, part, (size_t)n);
        if (out->len > FILE_MAX)
            return fail(err, "%s is larger than 1 MiB: is it the right file?", path);
    }
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return true;
}

bool file_write(const char *path, const struct bytes *content, unsigned mode, struct fail *err)
{
    OWN(text_freep) char *temp = NULL;
    if (asprintf(&temp, "%s.XXXXXX", path) < 0) {
        temp = NULL;
        return fail(err, "cannot write %s: out of memory", path);
    }
    OWN(fd_closep) int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot make a temporary file beside %s", path);
    if (fchmod(fd, (mode_t)mode) != 0 || !write_all(fd, content->p, content->len) || rename(temp, path) != 0) {
        fail_errno(err, "cannot write %s", path);
        unlink(temp);
        return false;
    }
    return true;
}

/* An encrypted key would make OpenSSL ask on the terminal and wait: answer "no passphrase" instead. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
    (void)buf, (void)size, (void)rwflag, (void)u;
    return -1;
}

bool file_read_key(const char *path, EVP_PKEY **out, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    if (!file_read(path, &text, err))
        return false;
    OWN(bio_freep) BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
    if (bio == NULL)
        return fail_ossl(err, "cannot read %s", path);
    OWN(pkey_freep) EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL)
        return fail_ossl(err, "%s holds no PEM private key without passphrase", path);
    *out = STEAL(key);
    return true;
}

bool file_read_certs(const char *path, STACK_OF(X509) **out, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    if (!file_read(path, &text, err))
        return false;
    OWN(bio_freep) BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
    OWN(certs_freep) STACK_OF(X509) *certs = sk_X509_new_null();
    if (bio == NULL || certs == NULL)
        return fail_ossl(err, "cannot read %s", path);
    for (;;) {
        OWN(x509_freep) X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (cert == NULL)
            break;
        if (sk_X509_push(certs, cert) <= 0)
            return fail_ossl(err, "cannot read %s", path);
        cert = NULL;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || sk_X509_num(certs) == 0)
        return fail_ossl(err, "%s is not a PEM file of certificates", path);
    ERR_clear_error();
    *out = STEAL(certs);
    return true;
}

bool file_read_cert(const char *path, X509 **out, struct fail *err)
{
    OWN(certs_freep) STACK_OF(X509) *certs = NULL;
    if (!file_read_certs(path, &certs, err))
        return false;
    *out = sk_X509_shift(certs);
    return true;
}

static void add_bio(struct bytes *text, BIO *bio)
{
    char *p = NULL;
    long len = BIO_get_mem_data(bio, &p);
    if (len > 0)
        bytes_add(text, p, (size_t)len);
}

bool file_write_key(const char *path, EVP_PKEY *key, struct fail *err)
{
    OWN(bytes_fini) struct bytes text = {0};
    OWN(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return fail_ossl(err, "cannot encode the key for %s", path);
    add_bio(&text, bio);
    return file_write(path, &text, 0600, err);
}

bool file_add_pem(struct bytes *text, X509 *cert, struct fail *err)
{
    OWN(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1)
        return fail_ossl(err, "cannot encode a certificate as PEM");
    add_bio(text, bio);
    return true;
}
