/*
 * tpm2cloud aziot configure
 */
#include "cmd.h"

bool cmd_aziot_configure(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "aziot configure is not built");
}
