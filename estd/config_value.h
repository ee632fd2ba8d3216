/*
 * Inside of the configuration: a setting is looked up in the certificate's file and then, where that makes sense for more
 * than one certificate, in [defaults] of estd.conf. A value remembers where it stood, so that a complaint says so.
 */
#ifndef ESTD_CONFIG_VALUE_H
#define ESTD_CONFIG_VALUE_H

#include "schedule.h"
#include "tpm2cloud/conf.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The two files a certificate's settings come from. OWN: NULL where there is only the main one. */
struct source {
    const CONF *main, *own;
    const char *main_path, *own_path;
};

struct value {
    const char *text; /* NULL: not set anywhere */
    const char *path, *section, *name;
};

struct value value_main(const struct source *source, const char *section, const char *name);
struct value value_own(const struct source *source, const char *section, const char *name);
/* The certificate's own, else that of DEFAULT_NAME in [defaults]. */
struct value value_find(const struct source *source, const char *section, const char *name, const char *default_name);

/* Completes an error about VALUE with its place. Returns false. */
bool value_at(const struct value *value, struct t2c_error *err);
bool value_refuse_missing(const struct value *value, const char *example, struct t2c_error *err);

typedef bool value_check(const char *text, struct t2c_error *err);

/* Copies VALUE, if it is set, into *out once CHECK (may be NULL) accepts it; *out stays as it is without. */
bool value_take(const struct value *value, value_check *check, char **out, struct t2c_error *err);
/* Gives *out, the index of VALUE in WORDS, which ends with NULL; *out stays as it is when VALUE is not set. */
bool value_choose(const struct value *value, const char *const *words, int *out, struct t2c_error *err);
bool value_flag(const struct value *value, bool *out, struct t2c_error *err);
/* "80%", or an absolute time as 30d, 12h, 45m, 20s, in the manner of aziot's configuration also 30day and 45min. */
bool value_period(const struct value *value, struct schedule_period *out, struct t2c_error *err);

/* ---- checks ---- */

bool value_check_path(const char *text, struct t2c_error *err);
bool value_check_uri_or_path(const char *text, struct t2c_error *err);

#endif
