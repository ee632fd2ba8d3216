/*
 * tpm2cloud pkcs11 link
 */
#include "cmd.h"

bool cmd_pkcs11_link(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "pkcs11 link is not built");
}
