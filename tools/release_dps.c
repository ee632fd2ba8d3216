/*
 * The key by which the Device Provisioning Service knows a device is an HMAC key at a handle, which the record of the registration
 * names; without a record it is where aziot-tpmd has it, too. What else sits at such a handle is another's.
 */
#include "release.h"

#include "dps_record.h"
#include "dps_tpm.h"
#include "keys_json.h"
#include "tpm2cloud/secret.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NAME: the TPM's of the key that is meant; "" for any. */
static bool evict(struct release *release, uint32_t handle, const char *name, struct t2c_error *err)
{
    static const struct release_thing thing = {"key", "dps", "in the TPM"};
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    char there[T2C_KEY_NAME_HEX_MAX], place[KEYS_HANDLE_MAX];
    if (!t2c_secret_open_handle(handle, &key, &why))
        return why.code == T2C_NOT_FOUND || why.code == T2C_EXISTS || t2c_fail_with(err, &why);
    if (!t2c_key_name_hex(key, there, sizeof(there), err))
        return false;
    if (name[0] != '\0' && strcmp(name, there) != 0)
        return true;
    t2c_key_freep(&key);
    return (release->dry_run || t2c_key_evict(handle, err)) &&
        release_add(release, &thing, keys_handle(handle, place), err);
}

/* Of a record that cannot be read nothing is known. */
static bool evict_recorded(struct release *release, const char *file, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    struct dps_record record = {0};
    if (asprintf(&path, "%s/%s", release->settings.dps_dir, file) < 0)
        return t2c_fail_nomem(err);
    if (!dps_record_read(path, &record, NULL) || !record.tpm || record.name[0] == '\0')
        return true;
    unsigned long handle = strtoul(record.handle, NULL, 16);
    return handle == DPS_HANDLE || evict(release, (uint32_t)handle, record.name, err);
}

bool release_dps(struct release *release, struct t2c_error *err)
{
    static const struct release_thing thing = {"directory", "dps", "what became of registrations"};
    struct dirent **found = NULL;
    int n = scandir(release->settings.dps_dir, &found, dps_record_is_file, alphasort);
    if (n < 0 && errno != ENOENT)
        return t2c_fail_errno(err, errno, "cannot list %s", release->settings.dps_dir);
    bool ok = evict(release, DPS_HANDLE, "", err);
    for (int i = 0; i < n; i++) {
        ok = ok && evict_recorded(release, found[i]->d_name, err);
        free(found[i]);
    }
    free(found);
    return ok && release_content(release, &thing, release->settings.dps_dir, err);
}
