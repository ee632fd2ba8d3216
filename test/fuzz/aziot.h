/*
 * For the targets that call libaziot_keys: a home of keyd's in memory, with keys of each kind, and no TPM.
 */
#ifndef TPM2CLOUD_TEST_FUZZ_AZIOT_H
#define TPM2CLOUD_TEST_FUZZ_AZIOT_H

#include "../../aziot/aziot_keys.h"
#include "fuzz.h"
#include <stdbool.h>

/*
 * Ids: "record" (a pair), "hmac" and "sealed" lie in the home; "soft-ec", "soft-rsa" and "raw" (32 bytes) are preloaded
 * files; "named" is a key of the TPM by name; "hostile" is a preloaded file that is written by aziot_write_hostile; "none" is
 * none.
 */
extern const char *const aziot_ids[];
extern const size_t aziot_ids_n;

/* Gives the functions, once everything is laid out. */
const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *aziot_setup(void);

/* Lays out again what calls may have removed or replaced. */
void aziot_restore(void);

void aziot_write_hostile(const void *data, size_t data_len);

/* Fails unless RC is one of the three that there are. Returns whether it is OK. */
bool aziot_is_ok(unsigned rc);

#endif
