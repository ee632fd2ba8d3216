/*
 * Inside lib's TPM half: authorization values that the TPM refused. A wrong value of a protected key counts towards the
 * dictionary-attack lockout of the whole TPM, so this process does not send one twice, however often it is asked to.
 */
#ifndef TPM2CLOUD_LIB_REFUSED_H
#define TPM2CLOUD_LIB_REFUSED_H

#include "key.h"

/* Notes that the TPM refused the value that KEY has, or has not. Under the TPM's lock, as the next one. */
void t2c_refused_note(const struct t2c_key *key);

/* Says whether it was refused before. */
bool t2c_refused_is_known(const struct t2c_key *key);

#endif
