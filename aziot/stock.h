/*
 * What the stock library left in keyd's home: a key in a file is brought into the TPM when it is used for the first time.
 */
#ifndef AZIOT_STOCK_H
#define AZIOT_STOCK_H

#include "location.h"

/* Says whether the stock library's file is there. */
bool stock_is_there(const struct location *location);

/*
 * Brings the key ID, which is to be a pair or not, from its file into its record. Without a file that is success. One that
 * holds no key is set aside when there is a record. Errors: EXISTS for a pair that was to be a symmetric key; else what is to
 * be told as it is, and never NOT_FOUND.
 */
bool stock_settle(const struct location *location, const char *id, bool pair, struct t2c_error *err);

/* Says whether the key is in the stock library's file alone, which holds no pair: when a pair is made, that counts as none. */
bool stock_is_no_pair(const struct location *location);

/*
 * Makes room for another key of ID, losing nothing: a file that holds a key is brought into a record, one that holds none, or
 * for a PAIR no pair, is set aside. Errors: those of t2c_aziot_stock_migrate; the file stays then.
 */
bool stock_give_way(const struct location *location, const char *id, bool pair, struct t2c_error *err);

/*
 * Fails when ID is a key that nothing can stand in for, was brought over, and is gone: another one is not to be made unseen.
 * Errors: IO.
 */
bool stock_check_master(const struct location *location, const char *id, struct t2c_error *err);

/* Removes the file, when the key is removed; without one that is success. Errors: AUTH, IO. */
bool stock_remove(const struct location *location, struct t2c_error *err);

#endif
