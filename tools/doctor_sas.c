/*
 * Whether shared access keys are this TPM's, and where their tokens cost least: each is loaded, and nothing is signed.
 */
#include "doctor.h"

#include "sas.h"
#include "tpm2cloud/conf.h"
#include <stdio.h>
#include <string.h>

#define FIX_OTHER                                                                                              \
    "if this is a copy of another device's image, or the TPM was cleared: import the key of this device with " \
    "tpm2cloud sas import --replace; for the future, take images before keys are imported"

static void check_one(struct doctor *doctor, const char *name)
{
    char check[CHECKLIST_CHECK_MAX];
    struct t2c_error why = {0};
    bool placed = false;
    snprintf(check, sizeof(check), "sas %.27s", name);
    if (!sas_check(name, &placed, &why))
        checklist_bad(&doctor->list, check,
            why.code == T2C_AUTH ? "run this as root, or as a member of tpm2cloud" : FIX_OTHER, "%s", why.text);
    else if (placed)
        checklist_ok(&doctor->list, check, "its key is at its handle");
    else
        checklist_ok(&doctor->list, check,
            "its key is at no handle, and is loaded for each token; imported again, it gets one if the TPM has room");
}

void doctor_sas(struct doctor *doctor)
{
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    struct dirent **found = NULL;
    if (doctor->no_tpm.code != T2C_OK || !t2c_settings_load(&settings, NULL))
        return; /* that was told already, as is a directory that cannot be listed */
    int n = scandir(settings.keys_dir, &found, sas_is_file, alphasort);
    for (int i = 0; i < n; i++) {
        found[i]->d_name[strlen(found[i]->d_name) - strlen(T2C_SAS_SUFFIX)] = '\0';
        check_one(doctor, found[i]->d_name);
        free(found[i]);
    }
    free(found);
}
