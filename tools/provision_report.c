/*
 * The report is made of what is there when a run ends, so that a run that had nothing to do reports the same as the one that did it.
 */
#include "provision.h"

#include "certs.h"
#include "json.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/nv.h"
#include "tpm2cloud/tpm.h"
#include <inttypes.h>
#include <string.h>

/* ---- members; each but the first of an object begins with a comma ---- */

static void put_name(FILE *to, const char *name)
{
    json_text_to(to, name);
    fputs(": ", to);
}

/* NULL and "" are null. */
static void put(FILE *to, const char *name, const char *text)
{
    fputs(", ", to);
    put_name(to, name);
    if (text == NULL || text[0] == '\0')
        fputs("null", to);
    else
        json_text_to(to, text);
}

static void put_time(FILE *to, const char *name, int64_t at_s)
{
    char text[T2C_CIVIL_TEXT_MAX];
    put(to, name, at_s >= T2C_CERT_NEVER ? NULL : t2c_civil_text(at_s, text));
}

static void put_base64(FILE *to, const char *name, const X509 *cert)
{
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    int len = i2d_X509(cert, &der);
    bool ok = len > 0 && t2c_bytes_base64(&text, der, (size_t)len, 0, NULL);
    fputs(", ", to);
    put_name(to, name);
    fprintf(to, ok ? "\"%s\"" : "null", ok ? (const char *)text.data : "");
}

/* ---- the TPM ---- */

static void put_tpm(FILE *to)
{
    struct t2c_tpm_info info;
    fputs(",\n \"tpm\": ", to);
    if (!t2c_tpm_info(&info, NULL)) {
        fputs("null", to);
        return;
    }
    fprintf(to, "{\"firmware\": \"%u.%u.%u.%u\", \"revision\": \"%u.%02u\"", info.firmware[0] >> 16,
        info.firmware[0] & 0xFFFF, info.firmware[1] >> 16, info.firmware[1] & 0xFFFF, info.revision / 100,
        info.revision % 100);
    put(to, "manufacturer", info.manufacturer);
    put(to, "vendor", info.vendor);
    putc('}', to);
}

/* Without a certificate the key itself is what a database can know the TPM by. */
static void put_bare_ek(FILE *to)
{
    const struct t2c_identity_slot *slot = &t2c_identity_find("ek")->slots[0];
    T2C_CLEANUP(t2c_pkey_freep) EVP_PKEY *key = NULL;
    char hash[T2C_SHA256_HEX_MAX];
    if ((t2c_ek_read_public(slot, &key, NULL) || t2c_ek_make_public(slot, &key, NULL)) &&
        certs_pkey_hash(key, hash, NULL)) {
        fputs("\n  {\"nv\": null, \"certificate\": null", to);
        put(to, "key_sha256", hash);
        putc('}', to);
    }
}

static void put_eks(FILE *to, const struct provision *provision)
{
    fputs(",\n \"ek\": [", to);
    for (size_t i = 0; i < provision->ek.n; i++) {
        const struct ek_cert *cert = &provision->ek.certs[i];
        char hash[T2C_SHA256_HEX_MAX];
        fprintf(to, "%s\n  {\"nv\": \"0x%08x\"", i > 0 ? "," : "", cert->slot->nv);
        if (cert->certs != NULL && certs_key_hash(sk_X509_value(cert->certs, 0), hash, NULL)) {
            put(to, "key_sha256", hash);
            put_base64(to, "certificate", sk_X509_value(cert->certs, 0));
        }
        put(to, "verified_below", cert->root);
        put(to, "refused", cert->bad.text);
        putc('}', to);
    }
    if (provision->ek.n == 0)
        put_bare_ek(to);
    putc(']', to);
}

/* ---- keys and certificates ---- */

static void put_key(FILE *to, const char *name)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char text[T2C_KEY_NAME_HEX_MAX], handle[16] = "";
    if (!t2c_name_read_key(name, &key, NULL) || !t2c_key_name_hex(key, text, sizeof(text), NULL)) {
        fputs(", \"key\": null", to);
        return;
    }
    if (t2c_key_handle(key) != 0)
        snprintf(handle, sizeof(handle), "0x%08x", t2c_key_handle(key));
    fputs(", \"key\": {\"tpm_name\": ", to);
    json_text_to(to, text);
    put(to, "algorithm", t2c_alg_name(t2c_key_alg(key)));
    put(to, "handle", handle);
    putc('}', to);
}

/* The index is where it was read from, which need not be where it would be written. */
static void put_index(FILE *to, const char *name)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    char text[16];
    uint32_t nv = 0, attributes = 0;
    if (identity == NULL || identity->slots[0].nv == 0 || !t2c_identity_read_cert(identity, &content, &nv, NULL) ||
        !t2c_nv_attributes(nv, &attributes, NULL))
        return;
    snprintf(text, sizeof(text), "0x%08x", nv);
    put(to, "nv", text);
    snprintf(text, sizeof(text), "0x%08x", attributes);
    put(to, "nv_attributes", text);
}

static void put_facts(FILE *to, const X509 *cert)
{
    char text[256], serial[2 * 64 + 1], hash[T2C_SHA256_HEX_MAX];
    int64_t before_s = 0, after_s = 0;
    const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(number) < 64 ? ASN1_STRING_length(number) : 64;
    t2c_hex(ASN1_STRING_get0_data(number), (size_t)len, serial);
    fputs("\"serial\": ", to);
    json_text_to(to, serial);
    t2c_cert_name_text(X509_get_subject_name(cert), text, sizeof(text));
    put(to, "subject", text);
    t2c_cert_name_text(X509_get_issuer_name(cert), text, sizeof(text));
    put(to, "issuer", text);
    if (t2c_cert_validity(cert, &before_s, &after_s, NULL))
        put_time(to, "not_after", after_s);
    if (certs_hash(cert, hash, NULL))
        put(to, "sha256", hash);
}

static void put_cert(FILE *to, const char *name)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    const struct t2c_uri uri = t2c_uri_of(name);
    fputs(", \"certificate\": ", to);
    if (!t2c_name_read_certs(&uri, NULL, &chain, NULL)) {
        fputs("null", to);
        return;
    }
    putc('{', to);
    put_facts(to, sk_X509_value(chain, 0));
    put_index(to, name);
    putc('}', to);
}

static void put_identity(FILE *to, const struct provision_identity *id)
{
    if (id->section == NULL) /* the configuration was not understood */
        return;
    fprintf(to, ",\n \"%s\": ", id->section);
    if (!id->wanted) {
        fputs("null", to);
        return;
    }
    fputs("{\"name\": ", to);
    json_text_to(to, id->name);
    put_key(to, id->name);
    put_cert(to, id->name);
    putc('}', to);
}

/* ---- the rest ---- */

static void put_steps(FILE *to, const struct provision *provision)
{
    fputs(",\n \"steps\": [", to);
    for (size_t i = 0; i < PROVISION_STEPS; i++) {
        fprintf(to, "%s\n  {\"step\": ", i > 0 ? "," : "");
        json_text_to(to, provision_steps[i].name);
        put(to, "state", provision_state_name(provision->lines[i].state));
        put(to, "text", provision->lines[i].text);
        putc('}', to);
    }
    putc(']', to);
}

static void put_dps(FILE *to, const struct provision *provision)
{
    char id[PROVISION_SUBJECT_MAX];
    fputs(",\n \"dps\": ", to);
    if (provision->conf.scope_id == NULL) {
        fputs("null", to);
        return;
    }
    fputs("{\"scope_id\": ", to);
    json_text_to(to, provision->conf.scope_id);
    put(to, "registration_id", provision_registration_id(provision, id, NULL) ? id : NULL);
    putc('}', to);
}

static void put_all(FILE *to, const struct provision *provision, int64_t now_s)
{
    char now[T2C_CIVIL_TEXT_MAX];
    const struct provision_step *failed = provision->failed;
    fputs("{\"version\": \"" PACKAGE_VERSION "\"", to);
    put(to, "time", t2c_civil_text(now_s, now));
    put(to, "result", provision->why.code == T2C_OK ? "done" : "failed");
    put(to, "failed_step", failed != NULL ? failed->name : NULL);
    put(to, "message", provision->why.text);
    put_tpm(to);
    put_eks(to, provision);
    put_identity(to, &provision->conf.idevid);
    put_identity(to, &provision->conf.ldevid);
    put_identity(to, &provision->conf.operational);
    put_identity(to, &provision->conf.edge_ca);
    put_dps(to, provision);
    put_steps(to, provision);
    fputs("}\n", to);
}

bool provision_report(const struct provision *provision, int64_t now_s, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (to == NULL)
        return t2c_fail_nomem(err);
    put_all(to, provision, now_s);
    bool ok = ferror(to) == 0;
    ok = fclose(to) == 0 && ok;
    return ok ? t2c_bytes_append(out, text, len, err) : t2c_fail_nomem(err);
}
