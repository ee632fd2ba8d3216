/*
 * tpm2cloud jwt
 */
#include "cmd.h"

bool cmd_jwt(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "jwt is not built");
}
