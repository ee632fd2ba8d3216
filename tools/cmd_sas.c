/*
 * tpm2cloud sas import | token | forget
 */
#include "cmd.h"

bool cmd_sas_import(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "sas import is not built");
}

bool cmd_sas_token(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "sas token is not built");
}

bool cmd_sas_forget(int argc, char **argv, struct t2c_error *err)
{
    return cmd_parse(argc, argv, NULL, 0, NULL, 0, err) && t2c_fail(err, T2C_INVALID, "sas forget is not built");
}
