/*
 * Bringing IoT Edge's keys into the TPM, and back: each of these adds rows to a report of what becomes of what, and does it
 * unless DRY_RUN. Whatever is interrupted is finished by doing it again.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_H
#define TPM2CLOUD_TOOLS_AZIOT_H

#include "aziot_files.h"
#include "aziot_report.h"

struct aziot_task {
    struct aziot_place place;
    struct aziot_files files;
    struct aziot_report report;
    struct pkcs11_keys *tokens; /* NULL: keyd's configuration names none */
    const char *pin_from;       /* where their PIN is; NULL: in the configuration */
    bool dry_run, lose;
};
void aziot_task_fini(struct aziot_task *task);

/* Errors: those after which nothing more can be done; what fails for one key is a row, and counted. */
bool aziot_migrate(struct aziot_task *task, struct t2c_error *err);
/* Errors: AUTH without LOSE when a key that nothing else replaces exists only in the TPM; nothing was done then. */
bool aziot_rollback(struct aziot_task *task, struct t2c_error *err);
/* Removes what was set aside, where the key is proven to be in the TPM; with LOSE anyway. */
bool aziot_clean(struct aziot_task *task, struct t2c_error *err);

#endif
