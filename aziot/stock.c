/*
 * Only ids that have a place in keyd's home have such a file. To the stock library any bytes are a symmetric key, and what is
 * no PEM is a pair that it makes anew.
 */
#include "stock.h"

#include "blame.h"
#include "tpm2cloud/aziot.h"
#include "tpm2cloud/aziot_stock.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/log.h"

bool stock_is_there(const struct location *location)
{
    return location->kind == LOCATION_RECORD && !t2c_file_is_missing(location->stock_path);
}

static bool migrate(
    const struct location *location, const struct t2c_aziot_stock *stock, const char *id, struct t2c_error *err)
{
    if (!t2c_aziot_stock_migrate(stock, location->stock_path, location->path, id, err))
        return false;
    t2c_log(T2C_LOG_NOTICE,
        "%s: is in the TPM now; the file that it was in is %s" T2C_AZIOT_MIGRATED
        " until it is removed with: tpm2cloud aziot clean",
        id, location->stock_path);
    return true;
}

static bool set_damaged_aside(const struct location *location, const char *id, const char *why, struct t2c_error *err)
{
    if (!t2c_aziot_set_aside(location->stock_path, T2C_AZIOT_DAMAGED, err))
        return false;
    t2c_log(T2C_LOG_WARNING, "%s: %s; it is kept as %s" T2C_AZIOT_DAMAGED, id, why, location->stock_path);
    return true;
}

bool stock_settle(const struct location *location, const char *id, bool pair, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    struct t2c_error why = {0};
    if (!stock_is_there(location))
        return true;
    if (!t2c_aziot_stock_read(location->stock_path, &stock, &why)) {
        if (why.code == T2C_INVALID && !t2c_file_is_missing(location->path))
            return set_damaged_aside(location, id, why.text, err);
    } else if (pair && stock.pair == NULL && t2c_file_is_missing(location->path))
        t2c_fail(&why, T2C_IO, "%s is no key pair", location->stock_path);
    else if (!pair && stock.pair != NULL)
        return t2c_fail(err, T2C_EXISTS, "%s is a key pair, and no symmetric key", location->stock_path);
    else if (migrate(location, &stock, id, &why))
        return true;
    blame_machine(&why);
    return t2c_fail_with(err, &why);
}

bool stock_is_no_pair(const struct location *location)
{
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    struct t2c_error why = {0};
    if (!stock_is_there(location) || !t2c_file_is_missing(location->path))
        return false;
    return t2c_aziot_stock_read(location->stock_path, &stock, &why) ? stock.pair == NULL : why.code == T2C_INVALID;
}

bool stock_give_way(const struct location *location, const char *id, bool pair, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_aziot_stock_fini) struct t2c_aziot_stock stock = {0};
    struct t2c_error why = {0};
    if (!stock_is_there(location))
        return true;
    if (t2c_aziot_stock_read(location->stock_path, &stock, &why))
        return pair && stock.pair == NULL ? set_damaged_aside(location, id, "what is in its file is no key pair", err)
                                          : migrate(location, &stock, id, err);
    return why.code == T2C_INVALID ? set_damaged_aside(location, id, why.text, err) : t2c_fail_with(err, &why);
}

bool stock_check_master(const struct location *location, const char *id, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes aside = {0};
    if (!t2c_aziot_is_master(id))
        return true;
    if (!t2c_aziot_aside_path(location->stock_path, T2C_AZIOT_MIGRATED, 1, &aside, err))
        return false;
    return t2c_file_is_missing((const char *)aside.data) ||
        t2c_fail(err, T2C_IO,
            "its record %s is gone, and with another key nothing can be read that was made with this one; rename the "
            "newest %s" T2C_AZIOT_MIGRATED "* to %s",
            location->path, location->stock_path, location->stock_path);
}

bool stock_remove(const struct location *location, struct t2c_error *err)
{
    return !stock_is_there(location) || t2c_file_remove(location->stock_path, err);
}
