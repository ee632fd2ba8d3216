/*
 * What became of registrations at DPS: a device that registered by its TPM needs the key that this brought, where it was put.
 */
#include "doctor.h"

#include "dps_record.h"
#include "dps_tpm.h"
#include "tpm2cloud/conf.h"
#include <stdio.h>
#include <string.h>

#define FIX_KEY                                                                                                     \
    "register again, with the same words: tpm2cloud dps register; if aziot-tpmd registers this device, remove the " \
    "record"
#define FIX_RECORD "remove it, and register again: tpm2cloud dps register"

static void check_key(struct doctor *doctor, const char *check, const struct dps_record *record)
{
    char name[T2C_KEY_NAME_HEX_MAX];
    struct t2c_error why = {0};
    if (!dps_tpm_kept((uint32_t)strtoul(record->handle, NULL, 16), name, &why))
        checklist_bad(&doctor->list, check, FIX_KEY, "%s", why.text);
    else if (strcmp(name, record->name) != 0)
        checklist_bad(&doctor->list, check, FIX_KEY, "%s is at handle %s, and not the key by which %s knows %s",
            name[0] == '\0' ? "nothing" : "another key", record->handle, record->hub, record->device);
    else
        checklist_ok(
            &doctor->list, check, "%s at %s; its key is at handle %s", record->device, record->hub, record->handle);
}

static void check_one(struct doctor *doctor, const char *dir, const char *file)
{
    char check[CHECKLIST_CHECK_MAX];
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    struct dps_record record;
    struct t2c_error why = {0};
    if (asprintf(&path, "%s/%s", dir, file) < 0) {
        path = NULL;
        return;
    }
    const bool read = dps_record_read(path, &record, &why);
    snprintf(check, sizeof(check), "dps %.27s", read ? record.id : file);
    if (!read)
        checklist_bad(&doctor->list, check, FIX_RECORD, "%s", why.text);
    else if (!record.tpm)
        checklist_ok(&doctor->list, check, "%s at %s, by a certificate", record.device, record.hub);
    else if (doctor->no_tpm.code == T2C_OK)
        check_key(doctor, check, &record);
}

void doctor_dps(struct doctor *doctor)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    struct dirent **found = NULL;
    if (!t2c_settings_load(&settings, NULL))
        return; /* that was told already */
    int n = scandir(settings.dps_dir, &found, dps_record_is_file, alphasort);
    for (int i = 0; i < n; i++) {
        check_one(doctor, settings.dps_dir, found[i]->d_name);
        free(found[i]);
    }
    free(found);
}
