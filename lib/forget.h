/*
 * Inside lib's TPM half: what tpm2-tss keeps of a secret that went through it.
 */
#ifndef TPM2CLOUD_LIB_FORGET_H
#define TPM2CLOUD_LIB_FORGET_H

#include "esys.h"

/*
 * Wipes the last command's secrets and the last answer from ESYS, and the stack below the caller. Sends no TPM command. To be
 * called by the function that called ESYS.
 */
void t2c_forget(ESYS_CONTEXT *esys);

/*
 * Wipes the authorization value of OBJECT, of that length, from SESSION, which was used with it: one without a cipher, before it is
 * ended. Sends no TPM command.
 */
void t2c_forget_value(ESYS_CONTEXT *esys, ESYS_TR object, ESYS_TR session, size_t value_len);

#endif
