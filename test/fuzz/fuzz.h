/*
 * What the fuzz targets share. Each is a function that libFuzzer calls with bytes of its own making: besides the sanitizers,
 * an assertion that fails is a finding.
 */
#ifndef TPM2CLOUD_TEST_FUZZ_H
#define TPM2CLOUD_TEST_FUZZ_H

#undef NDEBUG
#include "tpm2cloud/error.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len);

/* A refusal says why, in a text that ends. */
static inline void assert_refused(const struct t2c_error *err)
{
    assert(err->code != T2C_OK && err->code != T2C_NOMEM);
    assert(err->text[0] != '\0' && memchr(err->text, '\0', sizeof(err->text)) != NULL);
}

static inline void assert_explained(const struct t2c_error *err)
{
    assert(err->code == T2C_INVALID);
    assert_refused(err);
}

#endif
