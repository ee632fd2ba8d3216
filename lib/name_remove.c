/*
 * Removing what a NAME stands for. A key leaves the TPM first and its record after it, so that whoever is interrupted finds
 * the rest by doing it again.
 */
#include "tpm2cloud/name.h"

#include "record.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/nv.h"
#include <stdio.h>

/* ---- keys ---- */

/* Gives: *removed, whether anything sat at HANDLE. */
static bool evict(uint32_t handle, bool *removed, struct t2c_error *err)
{
    struct t2c_error why = {0};
    *removed = t2c_key_evict(handle, &why);
    if (!*removed && why.code != T2C_NOT_FOUND)
        return t2c_fail_with(err, &why);
    return t2c_record_remove(handle, err);
}

static bool remove_identity(const struct t2c_identity *identity, struct t2c_name_removed *out, struct t2c_error *err)
{
    for (size_t i = 0; i < T2C_IDENTITY_SLOTS && identity->slots[i].handle != 0; i++) {
        bool removed = false;
        if (!evict(identity->slots[i].handle, &removed, err))
            return t2c_fail_context(err, "%s", identity->name);
        if (removed)
            snprintf(out->place, sizeof(out->place), "0x%08x", identity->slots[i].handle);
    }
    return true;
}

/* Notes that PATH is there, and removes it. */
static bool remove_file(const char *path, struct t2c_name_removed *out, struct t2c_error *err)
{
    if (t2c_file_is_missing(path))
        return true;
    if (!t2c_file_remove(path, err))
        return false;
    snprintf(out->place, sizeof(out->place), "%s", path);
    return true;
}

bool t2c_name_remove_key(const char *name, struct t2c_name_removed *out, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    struct t2c_name_files files;
    *out = (struct t2c_name_removed){0};
    if (identity != NULL)
        return remove_identity(identity, out, err);
    if (!t2c_name_locate(name, &files, err))
        return false;
    if (files.generation)
        return t2c_fail(err, T2C_EXISTS,
            "the key of %s and its certificate are one generation (%s), which estd keeps: remove the file of estd's "
            "configuration for it first, then the directory",
            name, files.key);
    return remove_file(files.key, out, err);
}

/* ---- certificates ---- */

static bool remove_index(uint32_t index, struct t2c_name_removed *out, struct t2c_error *err)
{
    struct t2c_error why = {0};
    if (!t2c_nv_remove(index, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    snprintf(out->place, sizeof(out->place), "NV index 0x%08x", index);
    return true;
}

/* Others may have put something else there. */
static bool remove_fallback(uint32_t index, struct t2c_name_removed *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes content = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *certs = NULL;
    struct t2c_error why = {0};
    if (!t2c_nv_read(index, &content, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    return !t2c_cert_parse(content.data, content.len, &certs, NULL) || remove_index(index, out, err);
}

bool t2c_name_remove_cert(const char *name, struct t2c_name_removed *out, struct t2c_error *err)
{
    const struct t2c_identity *identity = t2c_identity_find(name);
    struct t2c_name_files files;
    *out = (struct t2c_name_removed){0};
    if (identity != NULL && identity->slots[0].nv != 0)
        return (identity->nv_fallback == 0 || remove_fallback(identity->nv_fallback, out, err)) &&
            remove_index(identity->slots[0].nv, out, err);
    if (!t2c_name_locate(name, &files, err))
        return false;
    return files.generation
        ? t2c_fail(err, T2C_EXISTS, "the certificate of %s is in a generation (%s)", name, files.cert)
        : remove_file(files.cert, out, err);
}
