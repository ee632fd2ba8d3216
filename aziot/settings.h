/*
 * What keyd's configuration says: each entry of [aziot_keys], then each of [preloaded_keys], before anything else.
 */
#ifndef AZIOT_SETTINGS_H
#define AZIOT_SETTINGS_H

#include "preloaded.h"

struct settings {
    char *homedir; /* NULL: not set */
    bool rsa;      /* an RSA key is made when it is asked for first */
    struct preloaded *preloaded;
    size_t preloaded_n;
};

/* All zero is what nothing was said to. */
void settings_fini(struct settings *settings);

/*
 * Takes one entry. What the stock library knows and we do not need is accepted; an unknown name is logged, but one that
 * begins with "tpm2cloud" is refused, since somebody meant us. Errors: INVALID.
 */
bool settings_set(struct settings *settings, const char *name, const char *value, struct t2c_error *err);

/* Gives the preloaded location of ID, or NULL. */
const struct preloaded *settings_preloaded(const struct settings *settings, const char *id);

#endif
