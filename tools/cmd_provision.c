/*
 * tpm2cloud provision
 */
#include "cmd.h"

bool cmd_provision(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "provision is not built");
}
