/*
 * Whose fault it is: keyd tells its clients that their request was wrong, or that something here is. What files and the TPM
 * find invalid, missing or in the way is never the request.
 */
#ifndef AZIOT_BLAME_H
#define AZIOT_BLAME_H

#include "tpm2cloud/error.h"

/* Returns false, as in `return work(err) || blame_machine(err);`. */
static inline bool blame_machine(struct t2c_error *err)
{
    if (err != NULL && (err->code == T2C_INVALID || err->code == T2C_NOT_FOUND || err->code == T2C_EXISTS))
        err->code = T2C_IO;
    return false;
}

#endif
