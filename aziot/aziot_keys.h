/*
 * The interface by which aziot-keyd of Azure IoT Identity Service calls the library that keeps its keys, version 2.1 and
 * 2.0: names, values and layout as keyd has them. Everything else about it stands in keys.c.
 */
#ifndef TPM2CLOUD_AZIOT_KEYS_H
#define TPM2CLOUD_AZIOT_KEYS_H

#include <stdint.h>

#define AZIOT_KEYS_VERSION_2_0_0_0 0x02000000u
#define AZIOT_KEYS_VERSION_2_1_0_0 0x02010000u

/* keyd answers its clients with 400 for INVALID_PARAMETER and 500 for the other. */
#define AZIOT_KEYS_RC_OK 0u
#define AZIOT_KEYS_RC_ERR_INVALID_PARAMETER 1u
#define AZIOT_KEYS_RC_ERR_EXTERNAL 2u

#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM 1u /* unsigned int, one of the two below */
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID 2u
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT 3u
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS 4u
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT 5u
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC 1u
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA 2u

#define AZIOT_KEYS_KEY_USAGE_DERIVE 0x0001u
#define AZIOT_KEYS_KEY_USAGE_SIGN 0x0001u
#define AZIOT_KEYS_KEY_USAGE_ENCRYPT 0x0010u

#define AZIOT_KEYS_SIGN_MECHANISM_ECDSA 1u
#define AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256 2u
#define AZIOT_KEYS_SIGN_MECHANISM_DERIVED 3u

#define AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD 1u
#define AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1 2u
#define AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING 3u
#define AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED 4u

struct AZIOT_KEYS_SIGN_DERIVED_PARAMETERS {
    const unsigned char *derivation_data;
    uintptr_t derivation_data_len;
    unsigned int mechanism;
    const void *parameters;
};

struct AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS {
    const unsigned char *iv;
    uintptr_t iv_len;
    const unsigned char *aad;
    uintptr_t aad_len;
};

struct AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS {
    const unsigned char *derivation_data;
    uintptr_t derivation_data_len;
    unsigned int mechanism;
    const void *parameters;
};

struct AZIOT_KEYS_FUNCTION_LIST {
    unsigned int version;
};

typedef unsigned int aziot_keys_set_parameter_fn(const char *name, const char *value);
typedef unsigned int aziot_keys_create_pair_fn(const char *id, const char *preferred_algorithms);
typedef unsigned int aziot_keys_move_fn(const char *from, const char *to);
typedef unsigned int aziot_keys_id_fn(const char *id);
typedef unsigned int aziot_keys_parameter_fn(
    const char *id, unsigned int type, unsigned char *value, uintptr_t *value_len);
typedef unsigned int aziot_keys_create_fn(const char *id, unsigned int usage);
typedef unsigned int aziot_keys_import_fn(
    const char *id, const uint8_t *bytes, uintptr_t bytes_len, unsigned int usage);
typedef unsigned int aziot_keys_derive_fn(const char *base_id, const uint8_t *derivation_data,
    uintptr_t derivation_data_len, unsigned char *derived_key, uintptr_t *derived_key_len);
/* Signs, encrypts or decrypts. */
typedef unsigned int aziot_keys_transform_fn(const char *id, unsigned int mechanism, const void *parameters,
    const unsigned char *in, uintptr_t in_len, unsigned char *out, uintptr_t *out_len);
typedef unsigned int aziot_keys_verify_fn(const char *id, unsigned int mechanism, const void *parameters,
    const unsigned char *digest, uintptr_t digest_len, const unsigned char *signature, uintptr_t signature_len,
    int *ok);

struct AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 {
    struct AZIOT_KEYS_FUNCTION_LIST base;
    aziot_keys_set_parameter_fn *set_parameter;
    aziot_keys_create_pair_fn *create_key_pair_if_not_exists;
    aziot_keys_id_fn *load_key_pair;
    aziot_keys_parameter_fn *get_key_pair_parameter;
    aziot_keys_create_fn *create_key_if_not_exists;
    aziot_keys_id_fn *load_key;
    aziot_keys_import_fn *import_key;
    aziot_keys_derive_fn *derive_key;
    aziot_keys_transform_fn *sign;
    aziot_keys_verify_fn *verify;
    aziot_keys_transform_fn *encrypt;
    aziot_keys_transform_fn *decrypt;
};

struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 {
    struct AZIOT_KEYS_FUNCTION_LIST base;
    aziot_keys_set_parameter_fn *set_parameter;
    aziot_keys_create_pair_fn *create_key_pair_if_not_exists;
    aziot_keys_move_fn *move_key_pair;
    aziot_keys_id_fn *load_key_pair;
    aziot_keys_parameter_fn *get_key_pair_parameter;
    aziot_keys_id_fn *delete_key_pair;
    aziot_keys_create_fn *create_key_if_not_exists;
    aziot_keys_id_fn *load_key;
    aziot_keys_import_fn *import_key;
    aziot_keys_id_fn *delete_key;
    aziot_keys_derive_fn *derive_key;
    aziot_keys_transform_fn *sign;
    aziot_keys_verify_fn *verify;
    aziot_keys_transform_fn *encrypt;
    aziot_keys_transform_fn *decrypt;
};

/*
 * Gives: *list, static, whose version says which of the structs above it is. Errors: INVALID_PARAMETER for an unknown VERSION.
 * Touches neither TPM nor files: four daemons load the library, and one of them uses it.
 */
unsigned int aziot_keys_get_function_list(unsigned int version, const struct AZIOT_KEYS_FUNCTION_LIST **list);

#endif
