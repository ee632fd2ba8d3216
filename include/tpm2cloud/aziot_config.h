/*
 * The configuration of Azure IoT Edge's services, as they read it: DIR/SERVICE/config.toml, then DIR/SERVICE/config.d/ *.toml.
 */
#ifndef TPM2CLOUD_AZIOT_CONFIG_H
#define TPM2CLOUD_AZIOT_CONFIG_H

#include "tpm2cloud/error.h"
#include <stddef.h>

struct t2c_aziot_value {
    char *file; /* where it stands */
    char *path; /* names, each ended by a NUL, and a NUL behind the last */
    char *text; /* NULL: no string */
};

/* All values, in order; what a later file says replaces what an earlier one says under the same path. */
struct t2c_aziot_values {
    struct t2c_aziot_value *list;
    size_t n;
    bool incomplete; /* there was not enough memory, or too much to read */
};
void t2c_aziot_values_fini(struct t2c_aziot_values *values);

/* Hears of what is there and was not read: a file (as open says), or lines that were not understood (INVALID). */
typedef void t2c_aziot_miss_fn(const struct t2c_error *why);

/* Appends what SERVICE is told; what is missing is no mistake. MISS: may be NULL. Errors: NOMEM, also for too much. */
bool t2c_aziot_config_read(
    const char *dir, const char *service, t2c_aziot_miss_fn *miss, struct t2c_aziot_values *out, struct t2c_error *err);

/* Says whether a later value replaces the one at INDEX. An array's elements replace each other. */
bool t2c_aziot_is_replaced(const struct t2c_aziot_values *values, size_t index);

/*
 * Gives the name that the value at INDEX has in the table TABLE, as "preloaded_keys"; NULL when it is of another, is no
 * string, or is replaced.
 */
const char *t2c_aziot_member(const struct t2c_aziot_values *values, size_t index, const char *table);

/* Gives the string that counts under the path of NAMES, as "aziot_keys", "homedir_path", NULL; NULL when there is none. */
const char *t2c_aziot_text(const struct t2c_aziot_values *values, ...) __attribute__((sentinel));

#endif
