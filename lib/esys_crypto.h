/*
 * Inside lib's TPM half: the host's computing for ESYS sessions.
 */
#ifndef TPM2CLOUD_LIB_ESYS_CRYPTO_H
#define TPM2CLOUD_LIB_ESYS_CRYPTO_H

#include <tss2/tss2_esys.h>

/* Lets ESYS compute in the library context of t2c_host; tpm2-tss before 4.0 cannot be told and makes one for each step. */
TSS2_RC t2c_esys_set_crypto(ESYS_CONTEXT *esys);

#endif
