/*
 * A device is given back: each step adds rows to a report of what goes and what stays, and does it unless DRY_RUN. What is gone
 * already has no row, so that whoever is interrupted finishes by doing it again.
 */
#ifndef TPM2CLOUD_TOOLS_RELEASE_H
#define TPM2CLOUD_TOOLS_RELEASE_H

#include "aziot_place.h"
#include "aziot_report.h"
#include "estd.h"
#include "tpm2cloud/conf.h"

struct release {
    struct aziot_report report;
    struct t2c_settings settings;
    struct estd_place estd;
    struct aziot_place aziot;
    int lock; /* estd's, -1: none */
    bool dry_run;
};
void release_fini(struct release *release);

/* One thing: TEXT says to people what WHAT, NAME is. */
struct release_thing {
    const char *what, *name, *text;
};

/* Adds the row of a thing that goes, or is gone, at PLACE; or that stays. */
bool release_add(struct release *release, const struct release_thing *thing, const char *place, struct t2c_error *err);
bool release_keep(struct release *release, const struct release_thing *thing, const char *place, struct t2c_error *err);

/*
 * Calls FN for each file of the directory DIR that FILTER takes (as scandir(3) does; NULL: all), in order, up to the first failure. A
 * directory that is missing has none.
 */
typedef bool release_each_fn(struct release *release, const char *file, struct t2c_error *err);
bool release_each(struct release *release, const char *dir, int (*filter)(const struct dirent *), release_each_fn *fn,
    struct t2c_error *err);

/* Removes the file PATH, or all that is in the directory PATH; what is not there has no row. */
bool release_file(struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err);
bool release_content(
    struct release *release, const struct release_thing *thing, const char *path, struct t2c_error *err);

/* Stops estd and IoT Edge. Errors: EXISTS when one of them still runs. */
bool release_stop(struct release *release, struct t2c_error *err);

/*
 * Clears the TPM and gives it its factory's keys again, with their certificates. Errors: EXISTS before anything is changed, when one of
 * these keys would be lost.
 */
bool release_clear(struct release *release, struct t2c_error *err);

/* Brings back what an earlier release_clear that was interrupted took. */
bool release_restore(struct release *release, struct t2c_error *err);

/* The owner's keys, from the TPM and the key directory, and their certificates. */
bool release_keys(struct release *release, struct t2c_error *err);

/* What is recorded of them, which the others need. */
bool release_records(struct release *release, struct t2c_error *err);

/* The certificates that estd keeps, its configuration of them, its state. */
bool release_estd(struct release *release, struct t2c_error *err);

/* IoT Edge's keys, certificates, state and what was made of its configuration. */
bool release_aziot(struct release *release, struct t2c_error *err);

/* The key and the records of registrations at DPS. */
bool release_dps(struct release *release, struct t2c_error *err);

/* What enroll and provision left behind. */
bool release_work(struct release *release, struct t2c_error *err);

#endif
