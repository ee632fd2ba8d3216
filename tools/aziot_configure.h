/*
 * Writing IoT Edge's configuration: first a plan, which reads and changes nothing, then the run of it.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_CONFIGURE_H
#define TPM2CLOUD_TOOLS_AZIOT_CONFIGURE_H

#include "aziot_report.h"
#include "aziot_settings.h"

struct aziot_plan;

/*
 * Checks SETTINGS, and that nobody else renews what they are about; reads what is there, below ROOT (NULL: on this machine).
 * A named key need not exist. Gives: *out, which holds no borrowed pointer. Blocks: with est-mtls perhaps some TPM commands.
 * Errors: INVALID; NOT_FOUND without IoT Edge, or the certificate that est-mtls is for; AUTH.
 */
bool aziot_plan_make(
    const char *root, const struct aziot_settings *settings, struct aziot_plan **out, struct t2c_error *err);
void aziot_plan_free(struct aziot_plan *plan);
T2C_DEFINE_FREEP(aziot_plan_freep, struct aziot_plan, aziot_plan_free)

/* Says whether running the plan would change a file; and whether it would only by FORCE, since one there says something else. */
bool aziot_plan_is_done(const struct aziot_plan *plan);
bool aziot_plan_is_refused(const struct aziot_plan *plan);

/* Appends config.toml as it would be, and what is refused as a diff, both without secrets. Errors: NOMEM. */
bool aziot_plan_show(const struct aziot_plan *plan, struct t2c_bytes *out, struct t2c_error *err);
bool aziot_plan_diff(const struct aziot_plan *plan, struct t2c_bytes *out, struct t2c_error *err);

/* Adds a row for each file and certificate: what a run would do. Errors: NOMEM. */
bool aziot_plan_report(const struct aziot_plan *plan, bool force, struct aziot_report *report, struct t2c_error *err);

/*
 * Writes what is to be written, each file whole or not at all, and adds the same rows: what was done. Done again, it finds
 * nothing to do. FORCE: what was there is kept beside it. Errors: EXISTS when that is refused, nothing was written then; AUTH, IO.
 */
bool aziot_plan_run(const struct aziot_plan *plan, bool force, struct aziot_report *report, struct t2c_error *err);

#endif
