/*
 * A reader of TOML that is content with what it finds: it tells of each value that it understands, under the names of its table
 * and keys, and steps over the rest of a line that it does not. Pure. Spec: TOML 1.0.
 *
 * Understood: comments; tables and arrays of tables (whose elements are not told apart); bare, quoted and dotted keys; all
 * kinds of strings; arrays and inline tables, over several lines, too. Numbers, dates and booleans are given as they stand.
 * Not checked: that a key or table occurs once.
 */
#ifndef TPM2CLOUD_TOML_H
#define TPM2CLOUD_TOML_H

#include <stdbool.h>
#include <stddef.h>

#define T2C_TOML_PATH_MAX 16
#define T2C_TOML_NAME_MAX 256
#define T2C_TOML_VALUE_MAX 1024

/* One value; an array's elements come one by one under the same path. What is here is valid during the call. */
struct t2c_toml_value {
    const char *path[T2C_TOML_PATH_MAX]; /* table, then key */
    size_t path_n;
    const char *text; /* of a string: what it means; else as written */
    bool string;
    size_t line; /* from 1 */
};

typedef void t2c_toml_fn(void *data, const struct t2c_toml_value *value);

/*
 * Calls FN for each value of TEXT. Gives the number of lines that were not understood, longer names and values than the limits
 * above among them.
 */
size_t t2c_toml_read(const char *text, size_t text_len, t2c_toml_fn *fn, void *data);

#endif
