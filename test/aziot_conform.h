/*
 * What the interface of libaziot_keys promises, as Check tests: each in a process of its own, with keys of its own.
 */
#ifndef TPM2CLOUD_TEST_AZIOT_CONFORM_H
#define TPM2CLOUD_TEST_AZIOT_CONFORM_H

#include "aziot_abi.h"
#include "check_main.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#define ck_assert_ok(call) ck_assert_uint_eq(call, AZIOT_KEYS_RC_OK)
#define ck_assert_invalid(call) ck_assert_uint_eq(call, AZIOT_KEYS_RC_ERR_INVALID_PARAMETER)
#define ck_assert_external(call) ck_assert_uint_eq(call, AZIOT_KEYS_RC_ERR_EXTERNAL)

/* CALL sends no command to the TPM. */
#define ck_assert_free(call)                                  \
    do {                                                      \
        long conform_before = conform_commands();             \
        call;                                                 \
        ck_assert_int_eq(conform_commands(), conform_before); \
    } while (0)

/* Where tests put files of their own. */
extern const char *conform_dir;

/* Says that keys are in the directory's home: a checked fixture. */
void conform_home(void);

/* How much is in the log of tcti_count.so. */
long conform_commands(void);

TCase *conform_interface(void);
TCase *conform_pairs(void);
TCase *conform_symmetric(void);
TCase *conform_aead(void);
TCase *conform_secrets(void);

#endif
