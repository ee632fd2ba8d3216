/*
 * Profiles by name, and who chooses one.
 */
#include "tpm2cloud/profile.h"

#include "tpm2cloud/conf.h"
#include <string.h>

static const struct {
    const char *name;
    enum t2c_profile profile;
} profiles[] = {{"tcg", T2C_PROFILE_TCG}, {"iotedge-tpm2cloud", T2C_PROFILE_IOTEDGE}};

static bool chosen;
static enum t2c_profile choice;

bool t2c_profile_find(const char *name, enum t2c_profile *out, struct t2c_error *err)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
        if (strcmp(profiles[i].name, name) == 0) {
            *out = profiles[i].profile;
            return true;
        }
    return t2c_fail(err, T2C_INVALID, "profile %s is not known; this version knows: tcg, iotedge-tpm2cloud", name);
}

bool t2c_profile_set(const char *name, struct t2c_error *err)
{
    chosen = t2c_profile_find(name, &choice, err);
    return chosen;
}

bool t2c_profile_get(enum t2c_profile *out, struct t2c_error *err)
{
    const char *named = t2c_conf_env("TPM2CLOUD_PROFILE");
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    if (chosen) {
        *out = choice;
        return true;
    }
    if (named != NULL)
        return t2c_profile_find(named, out, err) || t2c_fail_context(err, "TPM2CLOUD_PROFILE");
    if (!t2c_settings_load(&settings, err))
        return false;
    *out = settings.profile;
    return true;
}
