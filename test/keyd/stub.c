/*
 * The library that keyd is linked against, and finds where ours is not: it takes the parameters that the stock library knows,
 * refuses others, and has no keys.
 */
#include "../../aziot/aziot_keys.h"

#include <string.h>

static unsigned set_parameter(const char *name, const char *value)
{
    (void)value;
    return strcmp(name, "homedir_path") == 0 || strncmp(name, "pkcs11_", 7) == 0 ||
            strncmp(name, "preloaded_key:", 14) == 0
        ? AZIOT_KEYS_RC_OK
        : AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
}

static unsigned no_key(const char *id)
{
    (void)id;
    return AZIOT_KEYS_RC_ERR_EXTERNAL;
}

static unsigned no_pair(const char *id, const char *other)
{
    (void)other;
    return no_key(id);
}

static unsigned no_parameter(const char *id, unsigned type, unsigned char *value, uintptr_t *value_len)
{
    (void)type, (void)value, (void)value_len;
    return no_key(id);
}

static unsigned no_creation(const char *id, unsigned usage)
{
    (void)usage;
    return no_key(id);
}

static unsigned no_import(const char *id, const uint8_t *bytes, uintptr_t bytes_len, unsigned usage)
{
    (void)bytes, (void)bytes_len, (void)usage;
    return no_key(id);
}

static unsigned no_derivation(
    const char *id, const uint8_t *data, uintptr_t data_len, unsigned char *derived, uintptr_t *derived_len)
{
    (void)data, (void)data_len, (void)derived, (void)derived_len;
    return no_key(id);
}

static unsigned no_transform(const char *id, unsigned mechanism, const void *parameters, const unsigned char *in,
    uintptr_t in_len, unsigned char *out, uintptr_t *out_len)
{
    (void)mechanism, (void)parameters, (void)in, (void)in_len, (void)out, (void)out_len;
    return no_key(id);
}

static unsigned no_verification(const char *id, unsigned mechanism, const void *parameters, const unsigned char *digest,
    uintptr_t digest_len, const unsigned char *signature, uintptr_t signature_len, int *ok)
{
    (void)mechanism, (void)parameters, (void)digest, (void)digest_len, (void)signature, (void)signature_len, (void)ok;
    return no_key(id);
}

static const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 functions = {
    .base.version = AZIOT_KEYS_VERSION_2_1_0_0,
    .set_parameter = set_parameter,
    .create_key_pair_if_not_exists = no_pair,
    .move_key_pair = no_pair,
    .load_key_pair = no_key,
    .get_key_pair_parameter = no_parameter,
    .delete_key_pair = no_key,
    .create_key_if_not_exists = no_creation,
    .load_key = no_key,
    .import_key = no_import,
    .delete_key = no_key,
    .derive_key = no_derivation,
    .sign = no_transform,
    .verify = no_verification,
    .encrypt = no_transform,
    .decrypt = no_transform,
};

unsigned aziot_keys_get_function_list(unsigned version, const struct AZIOT_KEYS_FUNCTION_LIST **list)
{
    if (version != AZIOT_KEYS_VERSION_2_1_0_0)
        return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
    *list = &functions.base;
    return AZIOT_KEYS_RC_OK;
}
