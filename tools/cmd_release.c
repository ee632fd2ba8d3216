/*
 * tpm2cloud release
 */
#include "cmd.h"

bool cmd_release(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "release is not built");
}
