/*
 * The hash tells apart ids that have the same letters.
 */
#include "tpm2cloud/aziot.h"

#include "tpm2cloud/ossl.h"
#include <string.h>

bool t2c_aziot_stem(const char *id, struct t2c_bytes *out, struct t2c_error *err)
{
    char hex[T2C_SHA256_HEX_MAX];
    for (const char *at = id; *at != '\0'; at++) {
        bool alnum = (*at >= '0' && *at <= '9') || (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z');
        if (alnum && !t2c_bytes_append(out, at, 1, err))
            return false;
    }
    return t2c_host_sha256_hex(id, strlen(id), hex, err) && t2c_bytes_printf(out, err, "-%s", hex);
}

bool t2c_aziot_path(const char *dir, const char *id, const char *end, struct t2c_bytes *out, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "%s/", dir) && t2c_aziot_stem(id, out, err) &&
        t2c_bytes_printf(out, err, "%s", end);
}

bool t2c_aziot_is_master(const char *id)
{
    return id != NULL &&
        (strcmp(id, "iotedge_master_encryption_id") == 0 || strcmp(id, "aziot_identityd_master_id") == 0);
}
