/*
 * tpm2cloud dps register | show
 */
#include "cmd.h"

bool cmd_dps_register(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "dps register is not built");
}

bool cmd_dps_show(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "dps show is not built");
}
