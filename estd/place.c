/*
 * The copies are made again from the one that estd reads whenever they differ from it: a power loss in between, a reader's
 * mistake, a new line in the configuration.
 */
#include "place.h"

#include "generation.h"
#include "spool.h"
#include "tpm2cloud/log.h"
#include "trust.h"
#include <string.h>

static struct generation_dir dir_of(const struct config *config, const struct config_cert *cert)
{
    return (struct generation_dir){config_daemon(config)->certs_dir, cert->name};
}

/* ---- what is written ---- */

static bool add_all(STACK_OF(X509) *to, const STACK_OF(X509) *from, struct t2c_error *err)
{
    return X509_add_certs(to, (STACK_OF(X509) *)from, X509_ADD_FLAG_UP_REF) == 1 || t2c_fail_nomem(err);
}

/* Appends the CA certificates that are known: those that are configured, that were fetched, and of the chain. */
static bool fill_ca(const struct config *config, const struct config_cert *cert, const STACK_OF(X509) *chain,
    struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(anchors_fini) struct anchors fetched = {0};
    T2C_CLEANUP(anchors_fini) struct anchors sorted = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *all = sk_X509_new_null();
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *configured = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *cas = NULL;
    struct t2c_error note = {0};
    bool file = cert->trust != NULL && strcmp(cert->trust, CONFIG_TRUST_SYSTEM) != 0;
    if (all == NULL)
        return t2c_fail_nomem(err);
    if (file && !t2c_cert_read_file(cert->trust, &configured, err))
        return t2c_fail_context(err, "%s: [certificate] trust", cert->path);
    if (!trust_load(config_state_dir(config), cert->name, &fetched, NULL, &note, err) ||
        !add_all(all, configured, err) || !add_all(all, fetched.roots, err) || !add_all(all, fetched.others, err) ||
        !add_all(all, chain, err) || !anchors_sort(all, &sorted, err))
        return false;
    cas = anchors_join(&sorted);
    return cas != NULL ? t2c_cert_append_pem(cas, out, err) : t2c_fail_nomem(err);
}

static bool fill(const struct config *config, const struct config_cert *cert, const STACK_OF(X509) *chain,
    struct install_content *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *leaf = sk_X509_new_null();
    bool ca = false;
    for (size_t i = 0; i < cert->targets_n; i++)
        ca = ca || cert->targets[i].part == INSTALL_CA;
    if (leaf == NULL || X509_add_cert(leaf, sk_X509_value(chain, 0), X509_ADD_FLAG_UP_REF) != 1)
        return t2c_fail_nomem(err);
    return t2c_cert_append_pem(chain, &out->parts[INSTALL_CHAIN], err) &&
        t2c_cert_append_pem(leaf, &out->parts[INSTALL_LEAF], err) &&
        (!ca || fill_ca(config, cert, chain, &out->parts[INSTALL_CA], err));
}

/* ---- reading ---- */

static bool recover(const struct config *config, const struct config_cert *cert, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(config, cert);
    bool switched = false;
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

static struct spool_request request_of(const struct install_content *content)
{
    return (struct spool_request){content->parts[INSTALL_CHAIN], content->parts[INSTALL_CA]};
}

/* Says whether the copies, or what root is asked for, are CONTENT. */
static bool is_written(
    const struct config *config, const struct config_cert *cert, const struct install_content *content)
{
    T2C_CLEANUP(spool_request_fini) struct spool_request asked = {0};
    const struct spool_request wanted = request_of(content);
    char asked_hash[65], wanted_hash[65];
    if (!cert->deploy)
        return install_is_written(cert->targets, cert->targets_n, content);
    return spool_read(config_state_dir(config), cert->name, &asked, NULL) && spool_hash(&asked, asked_hash, NULL) &&
        spool_hash(&wanted, wanted_hash, NULL) && strcmp(asked_hash, wanted_hash) == 0;
}

bool place_is_untouched(const struct config *config, const struct config_cert *cert, const struct t2c_bytes *pem)
{
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes found = {0};
    if (!t2c_file_read(cert->place, pem->len, &found, NULL) || found.len != pem->len ||
        memcmp(found.data, pem->data, pem->len) != 0)
        return false;
    if (!cert->deploy && cert->targets_n == 1 && strcmp(cert->targets[0].path, cert->place) == 0)
        return true;
    return t2c_cert_parse_pem(pem->data, pem->len, &chain, NULL) && fill(config, cert, chain, &content, NULL) &&
        is_written(config, cert, &content);
}

bool place_read(const struct config *config, const struct config_cert *cert, STACK_OF(X509) **chain, bool *same,
    struct t2c_error *err)
{
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
    if (!recover(config, cert, err) || !read_chain(cert, &found, err))
        return false;
    /* What cannot be said for the copies is said when they are written. */
    *same = fill(config, cert, found, &content, NULL) && is_written(config, cert, &content);
    *chain = T2C_STEAL(found);
    return true;
}

/* ---- writing ---- */

static bool write_generation(const struct config *config, const struct config_cert *cert, uint64_t n,
    const struct t2c_bytes *chain, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(config, cert);
    const struct t2c_file_owner plain = INSTALL_PLAIN; /* the owner is for what root installs */
    uint64_t current = 0;
    if (!generation_current(&dir, &current, err))
        return false;
    return current == n ||
        (generation_fill(&dir, n, chain, cert->deploy ? &plain : &cert->owner, err) && generation_switch(&dir, n, err));
}

bool place_write(const struct config *config, const struct config_cert *cert, uint64_t generation,
    const STACK_OF(X509) *chain, struct t2c_error *err)
{
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    if (!fill(config, cert, chain, &content, err))
        return false;
    if (generation != 0 && !write_generation(config, cert, generation, &content.parts[INSTALL_CHAIN], err))
        return false;
    const struct spool_request request = request_of(&content);
    return cert->deploy ? spool_ask(config_state_dir(config), cert->name, &request, err)
                        : install_write(cert->targets, cert->targets_n, &content, err);
}

bool place_update(
    const struct config *config, const struct config_cert *cert, const STACK_OF(X509) *chain, struct t2c_error *err)
{
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    return (fill(config, cert, chain, &content, NULL) && is_written(config, cert, &content)) ||
        place_write(config, cert, 0, chain, err);
}

bool place_key(const struct config *config, const struct config_cert *cert, char **out, struct t2c_error *err)
{
    const struct generation_dir dir = dir_of(config, cert);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    uint64_t n = 0;
    bool file = cert->current && strncmp(cert->key, "pkcs11:", 7) != 0; /* only a token's owner knows its form */
    if (file && !generation_current(&dir, &n, err))
        return false;
    if (n > 0 && !generation_path(&dir, n, T2C_GENERATION_KEY, &path, err))
        return false;
    *out = strdup(n > 0 ? (const char *)path.data : cert->key);
    return *out != NULL || t2c_fail_nomem(err);
}
