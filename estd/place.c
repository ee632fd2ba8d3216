/*
 * The copies are made again from the one that estd reads whenever they differ from it: a power loss in between, a reader's
 * mistake, a new line in the configuration.
 */
#include "place.h"

#include "generation.h"
#include "tpm2cloud/log.h"
#include <string.h>

static struct generation_dir dir_of(const struct config *config, const struct config_cert *cert)
{
    return (struct generation_dir){config_daemon(config)->certs_dir, cert->name};
}

/* ---- what is written ---- */

/* Appends the CA certificates of the chain and of the trust file. */
static bool fill_ca(
    const struct config_cert *cert, const STACK_OF(X509) *chain, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *cas = NULL;
    if (cert->trust != NULL && strcmp(cert->trust, CONFIG_TRUST_SYSTEM) != 0) {
        if (!t2c_cert_read_file(cert->trust, &cas, err))
            return t2c_fail_context(err, "%s: [certificate] trust", cert->path);
    } else if ((cas = sk_X509_new_null()) == NULL)
        return t2c_fail_nomem(err);
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (X509_add_cert(cas, sk_X509_value(chain, i), X509_ADD_FLAG_UP_REF | X509_ADD_FLAG_NO_DUP) != 1)
            return t2c_fail_nomem(err);
    return t2c_cert_append_pem(cas, out, err);
}

static bool fill(
    const struct config_cert *cert, const STACK_OF(X509) *chain, struct install_content *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *leaf = sk_X509_new_null();
    bool ca = false;
    for (size_t i = 0; i < cert->targets_n; i++)
        ca = ca || cert->targets[i].part == INSTALL_CA;
    if (leaf == NULL || X509_add_cert(leaf, sk_X509_value(chain, 0), X509_ADD_FLAG_UP_REF) != 1)
        return t2c_fail_nomem(err);
    return t2c_cert_append_pem(chain, &out->parts[INSTALL_CHAIN], err) &&
        t2c_cert_append_pem(leaf, &out->parts[INSTALL_LEAF], err) &&
        (!ca || fill_ca(cert, chain, &out->parts[INSTALL_CA], err));
}

/* ---- reading ---- */

static bool tidy(const struct config *config, const struct config_cert *cert, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(config, cert);
    bool switched = false;
    for (size_t i = 0; i < cert->targets_n; i++)
        install_tidy(cert->targets[i].path);
    if (!cert->current)
        return true;
    if (!generation_recover(&dir, &switched, err))
        return false;
    if (switched)
        t2c_log(T2C_LOG_NOTICE,
            "%s: a new key and its certificate, which had come before estd was stopped, are in force", cert->name);
    return true;
}

/* Until it has a first generation, a certificate is where it was before. */
static bool read_chain(const struct config_cert *cert, STACK_OF(X509) **out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (install_read(cert->place, out, &why))
        return true;
    if (why.code == T2C_NOT_FOUND && cert->current && !cert->deploy && cert->targets_n > 0 &&
        cert->targets[0].part == INSTALL_CHAIN)
        return install_read(cert->targets[0].path, out, err);
    return t2c_fail_with(err, &why);
}

bool place_read(const struct config *config, const struct config_cert *cert, STACK_OF(X509) **chain, bool *same,
    struct t2c_error *err)
{
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
    if (!tidy(config, cert, err) || !read_chain(cert, &found, err))
        return false;
    /* What cannot be said for the copies is said when they are written. */
    *same = fill(cert, found, &content, NULL) && install_is_written(cert->targets, cert->targets_n, &content);
    *chain = T2C_STEAL(found);
    return true;
}

/* ---- writing ---- */

static bool write_generation(const struct config *config, const struct config_cert *cert, uint64_t n,
    const struct t2c_bytes *chain, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(config, cert);
    uint64_t current = 0;
    if (!generation_current(&dir, &current, err))
        return false;
    return current == n || (generation_fill(&dir, n, chain, &cert->owner, err) && generation_switch(&dir, n, err));
}

bool place_write(const struct config *config, const struct config_cert *cert, uint64_t generation,
    const STACK_OF(X509) *chain, struct t2c_error *err)
{
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    if (!fill(cert, chain, &content, err))
        return false;
    return (generation == 0 || write_generation(config, cert, generation, &content.parts[INSTALL_CHAIN], err)) &&
        install_write(cert->targets, cert->targets_n, &content, err);
}

bool place_key(const struct config *config, const struct config_cert *cert, char **out, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(config, cert);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    uint64_t n = 0;
    if (cert->current && !generation_current(&dir, &n, err))
        return false;
    if (n > 0 && !generation_path(&dir, n, T2C_GENERATION_KEY, &path, err))
        return false;
    *out = strdup(n > 0 ? (const char *)path.data : cert->key);
    return *out != NULL || t2c_fail_nomem(err);
}
