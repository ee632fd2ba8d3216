/*
 * The command dps register is told a name, and no file: it looks for key and certificate as everybody does who knows that name.
 */
#include "config_dps.h"

#include "tpm2cloud/generation.h"
#include "tpm2cloud/uri.h"
#include <stdio.h>
#include <string.h>

/* The service takes more; what would be an option, or is not printed, is none of it. */
static bool check_word(const char *text, struct t2c_error *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    if (text[0] != '-' && text[strspn(text, allowed)] == '\0')
        return true;
    return t2c_fail(err, T2C_INVALID, "\"%s\" may hold A-Z a-z 0-9 . _ : - only", text);
}

static bool check_endpoint(const char *text, struct t2c_error *err)
{
    return strncmp(text, "https://", 8) == 0 ||
        t2c_fail(
            err, T2C_INVALID, "\"%s\" is no address; write it as https://global.azure-devices-provisioning.net", text);
}

/* Gives the CN of the subject, which is what a DPS compares with. */
static bool take_common_name(const struct value *id, struct config_cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    char text[128] = "";
    if (!t2c_cert_parse_subject(cert->subject, &name, err))
        return false;
    if (X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof(text)) <= 0 || !check_word(text, err))
        return value_refuse_missing(id, "device-001", err);
    cert->dps_id = strdup(text);
    return cert->dps_id != NULL || t2c_fail_nomem(err);
}

/* The identities whose certificates are in the TPM, where estd installs none. */
static bool is_in_tpm(const char *name)
{
    static const char *const names[] = {"ek", "srk", "idevid", "iak"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool take_name(const struct value *dps, struct config_cert *cert, struct t2c_error *err)
{
    struct t2c_uri uri;
    bool named = strncmp(cert->key, T2C_URI_SCHEME, strlen(T2C_URI_SCHEME)) == 0 &&
        t2c_uri_parse(cert->key, &uri, NULL) && uri.name[0] != '\0' && uri.handle == 0 && uri.file[0] == '\0';
    if (!named || is_in_tpm(uri.name)) {
        t2c_fail(err, T2C_INVALID,
            "wants a key that has a name, and its certificate in a file: key = tpm2cloud:%s, not %s", cert->name,
            cert->key);
        return value_at(dps, err);
    }
    if (strncmp(uri.auth_source, "env:", 4) == 0) {
        t2c_fail(err, T2C_INVALID,
            "registers by a command that has none of estd's variables: give the authorization value of %s by "
            "auth-source=file:/PATH or auth-source=cred:ID",
            uri.name);
        return value_at(dps, err);
    }
    cert->dps_name = strdup(uri.name);
    cert->dps_auth = uri.auth_source[0] != '\0' ? strdup(uri.auth_source) : NULL;
    return cert->dps_name != NULL && (uri.auth_source[0] == '\0' || cert->dps_auth != NULL) ? true
                                                                                            : t2c_fail_nomem(err);
}

bool config_dps_read(const struct source *source, struct config_cert *cert, struct t2c_error *err)
{
    struct value dps = value_own(source, "install", "dps"), id = value_own(source, "install", "dps_id");
    struct value scope = value_find(source, "install", "dps_scope", "dps_scope");
    struct value endpoint = value_find(source, "install", "dps_endpoint", "dps_endpoint");
    struct value trust = value_find(source, "install", "dps_trust", "dps_trust");
    if (!value_flag(&dps, &cert->dps, err))
        return false;
    if (!cert->dps)
        return true;
    if (scope.text == NULL)
        return value_refuse_missing(&scope, "0ne00000000", err);
    return take_name(&dps, cert, err) && value_take(&scope, check_word, &cert->dps_scope, err) &&
        value_take(&endpoint, check_endpoint, &cert->dps_endpoint, err) &&
        value_take(&trust, value_check_path, &cert->dps_trust, err) &&
        value_take(&id, check_word, &cert->dps_id, err) && (cert->dps_id != NULL || take_common_name(&id, cert, err));
}

/* Says whether estd installs the chain of CERT as PATH. */
static bool is_at(const struct config_cert *cert, const char *path)
{
    bool found = cert->current && strcmp(cert->place, path) == 0;
    for (size_t i = 0; i < cert->targets_n; i++)
        found = found || (cert->targets[i].part == INSTALL_CHAIN && strcmp(cert->targets[i].path, path) == 0);
    return found;
}

/* A generation of the name, which may be yet to come, is found before a file: lib/name.c. */
bool config_dps_check(const struct config_cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    T2C_CLEANUP(t2c_freep) char *wanted = NULL;
    uint64_t n = 0;
    if (!cert->dps)
        return true;
    if (!t2c_settings_load(&settings, err))
        return t2c_fail_context(err, "%s: [install] dps", cert->path);
    const bool generation = (cert->current && strcmp(cert->name, cert->dps_name) == 0) ||
        t2c_generation_current(settings.certs_dir, cert->dps_name, &n, NULL);
    if (asprintf(&wanted, "%s/%s%s", settings.certs_dir, cert->dps_name,
            generation ? "/" T2C_GENERATION_LINK "/" T2C_GENERATION_CERT : ".pem") < 0)
        return t2c_fail_nomem(err);
    if (is_at(cert, wanted))
        return true;
    if (generation)
        return t2c_fail(err, T2C_INVALID,
            "%s: [install] dps: the registration looks for the certificate of %s in %s, and estd has it in %s; let "
            "certs_dir of estd.conf and of tpm2cloud.conf be the same, and the name of the certificate that of its key",
            cert->path, cert->dps_name, wanted, cert->place);
    return t2c_fail(err, T2C_INVALID,
        "%s: [install] dps: the registration looks for the certificate of %s in %s; write file = %s", cert->path,
        cert->dps_name, wanted, wanted);
}
