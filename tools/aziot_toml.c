/*
 * Tables come in the order in which a reader wants them; within a table values come before tables, as TOML has it. All keys of
 * auto_renew are written: certd knows no default for one alone.
 */
#include "aziot_settings.h"

#include "tpm2cloud/pkcs11.h"
#include <string.h>

/* ---- TOML ---- */

static bool put_text(struct t2c_bytes *out, const char *text, struct t2c_error *err)
{
    if (!t2c_bytes_append(out, "\"", 1, err))
        return false;
    for (const char *at = text; *at != '\0'; at++)
        if (((*at == '"' || *at == '\\') && !t2c_bytes_append(out, "\\", 1, err)) || !t2c_bytes_append(out, at, 1, err))
            return false;
    return t2c_bytes_append(out, "\"", 1, err);
}

/* VALUE: NULL for no line. */
static bool put(struct t2c_bytes *out, const char *key, const char *value, struct t2c_error *err)
{
    return value == NULL ||
        (t2c_bytes_printf(out, err, "%s = ", key) && put_text(out, value, err) && t2c_bytes_append(out, "\n", 1, err));
}

static bool put_table(struct t2c_bytes *out, const char *name, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "\n[%s]\n", name);
}

/* Appends a file's URL in quotes: what may not stand in a URL as it is becomes %XX. */
static bool put_file(struct t2c_bytes *out, const char *path, size_t path_len, struct t2c_error *err)
{
    static const char safe[] = "/-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    if (!t2c_bytes_printf(out, err, "\"file://"))
        return false;
    for (size_t i = 0; i < path_len; i++)
        if (!(strchr(safe, path[i]) != NULL ? t2c_bytes_append(out, &path[i], 1, err)
                                            : t2c_bytes_printf(out, err, "%%%02X", (unsigned char)path[i])))
            return false;
    return t2c_bytes_append(out, "\"", 1, err);
}

/* A certificate that is a file, and the key of that name. */
static bool put_pair(struct t2c_bytes *out, const char *cert_key, const char *path, const char *pk_key,
    const char *name, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "%s = ", cert_key) && put_file(out, path, strlen(path), err) &&
        t2c_bytes_printf(
            out, err, "\n%s = \"" T2C_PKCS11_SCHEME "token=" T2C_PKCS11_OURS ";object=%s\"\n", pk_key, name);
}

/* ---- its parts ---- */

static const char *or_default(const char *value, const char *fallback)
{
    return value != NULL ? value : fallback;
}

static bool put_renewal(
    struct t2c_bytes *out, const char *table, const struct aziot_settings *settings, bool rotate, struct t2c_error *err)
{
    return put_table(out, table, err) && t2c_bytes_printf(out, err, "rotate_key = %s\n", rotate ? "true" : "false") &&
        put(out, "threshold", or_default(settings->threshold, AZIOT_THRESHOLD), err) &&
        put(out, "retry", or_default(settings->retry, AZIOT_RETRY), err);
}

static bool put_provisioning(struct t2c_bytes *out, const struct aziot_settings *settings, struct t2c_error *err)
{
    return put_table(out, "provisioning", err) && put(out, "source", "dps", err) &&
        put(out, "global_endpoint", or_default(settings->endpoint, AZIOT_ENDPOINT), err) &&
        put(out, "id_scope", settings->scope, err) && put_table(out, "provisioning.attestation", err) &&
        put(out, "method", "x509", err);
}

/* No registration_id: with it identityd would replace the key when the certificate is not there. */
static bool put_preloaded(struct t2c_bytes *out, const struct aziot_settings *settings, const struct aziot_paths *paths,
    struct t2c_error *err)
{
    return t2c_bytes_printf(out, err,
               "# estd renews this certificate; its common name is the registration id, which must not stand here\n") &&
        put_pair(out, "identity_cert", paths->device, "identity_pk", settings->name, err);
}

static bool put_issued(struct t2c_bytes *out, const struct aziot_settings *settings, struct t2c_error *err)
{
    return put(out, "registration_id", settings->id, err) &&
        put_table(out, "provisioning.attestation.identity_cert", err) && put(out, "method", "est", err) &&
        put(out, "common_name", settings->id, err) && put(out, "url", settings->est_device, err) &&
        put_renewal(out, "provisioning.attestation.identity_cert.auto_renew", settings, !settings->keep_key, err);
}

static bool put_trust(struct t2c_bytes *out, const char *trust, struct t2c_error *err)
{
    if (trust == NULL)
        return true;
    if (!t2c_bytes_printf(out, err, "trusted_certs = ["))
        return false;
    for (const char *at = trust; at != NULL;) {
        const char *end = strchr(at, ',');
        if (!put_file(out, at, end != NULL ? (size_t)(end - at) : strlen(at), err) ||
            (end != NULL && !t2c_bytes_printf(out, err, ", ")))
            return false;
        at = end != NULL ? end + 1 : NULL;
    }
    return t2c_bytes_printf(out, err, "]\n");
}

/* A named key cannot be rotated by certd, which may only use it. */
static bool put_auth(struct t2c_bytes *out, const struct aziot_settings *settings, const struct aziot_paths *paths,
    struct t2c_error *err)
{
    static const char renewal[] = "cert_issuance.est.identity_auto_renew";
    if (!put_table(out, "cert_issuance.est.auth", err))
        return false;
    if (settings->form == AZIOT_EST_BASIC)
        return put(out, "username", settings->user, err) && put(out, "password", settings->password, err);
    if (settings->bootstrap != NULL)
        return put_pair(out, "bootstrap_identity_cert", paths->identity, "bootstrap_identity_pk", settings->bootstrap,
                   err) &&
            put_renewal(out, renewal, settings, !settings->keep_key, err);
    return put_pair(out, "identity_cert", paths->identity, "identity_pk", settings->name, err) &&
        put_renewal(out, renewal, settings, false, err);
}

static bool put_est(struct t2c_bytes *out, const struct aziot_settings *settings, const struct aziot_paths *paths,
    struct t2c_error *err)
{
    return put_table(out, "cert_issuance.est", err) && put_trust(out, settings->trust, err) &&
        put_auth(out, settings, paths, err) && put_table(out, "cert_issuance.est.urls", err) &&
        put(out, "default", settings->est, err);
}

static bool put_edge_ca(struct t2c_bytes *out, const struct aziot_settings *settings, const struct aziot_paths *paths,
    struct t2c_error *err)
{
    if (settings->edge_ca != NULL)
        return put_table(out, "edge_ca", err) && put_pair(out, "cert", paths->edge_ca, "pk", settings->edge_ca, err);
    return settings->est_edge_ca == NULL ||
        (put_table(out, "edge_ca", err) && put(out, "method", "est", err) &&
            put(out, "url", settings->est_edge_ca, err) &&
            put_renewal(out, "edge_ca.auto_renew", settings, !settings->keep_key, err));
}

bool aziot_settings_toml(const struct aziot_settings *settings, const struct aziot_paths *paths, struct t2c_bytes *out,
    struct t2c_error *err)
{
    bool estd = settings->form == AZIOT_DPS;
    return t2c_bytes_printf(out, err,
               "# IoT Edge with its keys in the TPM, " AZIOT_SETTINGS_MARK
               " aziot configure; put in force by: iotedge config apply\n") &&
        put(out, "hostname", settings->hostname, err) && put_provisioning(out, settings, err) &&
        (estd ? put_preloaded(out, settings, paths, err)
              : put_issued(out, settings, err) && put_est(out, settings, paths, err)) &&
        put_edge_ca(out, settings, paths, err);
}
