/*
 * What Azure's DPS is yet to be told: a certificate with `dps = yes` is registered again when another one is installed, and never
 * because estd starts. It is the command dps register that does it; when it fails, it is tried again at an own pace. What a
 * restart must know is in the state: of which certificate the last registration was. Runs on the main loop.
 */
#ifndef ESTD_REGISTRATION_H
#define ESTD_REGISTRATION_H

#include "program.h"
#include <stdint.h>

struct entry;

struct registration {
    struct loop_source *alarm; /* NULL: never needed yet */
    struct program *program;   /* that runs, or NULL */
    uint8_t asked[32];         /* of which certificate */
};

/* Another certificate may be installed, or none, or root has done its part: finds out whether anything is owed. */
void registration_look(struct entry *entry);

/* Drops what runs; it stays owed. */
void registration_cancel(struct entry *entry);

#endif
