/*
 * Whether aziot-keyd's keys are this TPM's: each record is loaded, and nothing is done with it.
 */
#include "doctor.h"

#include "aziot_files.h"
#include <stdio.h>

#define CHECK "keyd's keys"
#define FIX_OTHER                                                                                                    \
    "if this is a copy of another device's image, or the TPM was cleared: stop IoT Edge, remove the key's file and " \
    "its certificate, and provision the device again; for the future, take images before IoT Edge starts"
#define FIX_DAMAGED "restore the file, or remove it, so that keyd makes another key, and provision the device again"

#define FIX_BACK                                                                                                   \
    "its file was set aside and is still there: stop IoT Edge, bring it back with tpm2cloud aziot rollback, then " \
    "tpm2cloud "                                                                                                   \
    "key create srk, and switch over again"

static const char *fix_of(const struct aziot_key *key, const struct t2c_error *why)
{
    return key->migrated_n > 0 ? FIX_BACK : why->code == T2C_INVALID ? FIX_DAMAGED : FIX_OTHER;
}

static void check_all(struct doctor *doctor, const struct aziot_files *files, const char *dir)
{
    size_t n = 0, bad = 0;
    for (size_t i = 0; i < files->keys_n; i++) {
        struct t2c_error why = {0};
        if (!files->keys[i].has_record)
            continue;
        n++;
        if (aziot_check_record(&files->keys[i], &why))
            continue;
        bad++;
        checklist_bad(&doctor->list, CHECK, fix_of(&files->keys[i], &why), "%s: %s", files->keys[i].record, why.text);
    }
    if (bad == 0)
        checklist_ok(&doctor->list, CHECK, "%zu in %s, all of this TPM", n, dir);
}

void doctor_aziot(struct doctor *doctor, const char *root)
{
    T2C_CLEANUP(aziot_place_fini) struct aziot_place place = {0};
    T2C_CLEANUP(aziot_files_fini) struct aziot_files files = {0};
    struct t2c_error why = {0};
    bool read = aziot_place_read(root, &place, &why);
    if (read && access(place.keys_dir, F_OK) != 0)
        checklist_unchecked(&doctor->list, CHECK, "%s is not there, or is seen by root alone", place.keys_dir);
    else if (doctor->no_tpm.code != T2C_OK)
        checklist_unchecked(&doctor->list, CHECK, "there is no TPM to ask");
    else if (read && aziot_files_find(&place, &files, &why))
        check_all(doctor, &files, place.keys_dir);
    else if (why.code == T2C_AUTH)
        checklist_unchecked(&doctor->list, CHECK, "%s; run this as root", why.text);
    else
        checklist_bad(&doctor->list, CHECK, "mend what it says", "%s", why.text);
}
