/*
 * Inside lib's TPM half: authorization values that the TPM refused, by the Name of what they were for. A wrong value of a
 * protected key counts towards the
 * dictionary-attack lockout of the whole TPM, so this process does not send one twice, however often it is asked to.
 */
#ifndef TPM2CLOUD_LIB_REFUSED_H
#define TPM2CLOUD_LIB_REFUSED_H

#include "tpm2cloud/bytes.h"
#include <tss2/tss2_tpm2_types.h>

/* Notes that the TPM refused AUTH, which may be empty, for what has NAME. Under the TPM's lock, as the next one. */
void t2c_refused_note(const TPM2B_NAME *name, const struct t2c_bytes *auth);

/* Says whether it was refused before. */
bool t2c_refused_is_known(const TPM2B_NAME *name, const struct t2c_bytes *auth);

#endif
