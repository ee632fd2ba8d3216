/*
 * tpm2cloud doctor
 */
#include "cmd.h"

#include "doctor.h"
#include "tpm2cloud/cert.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/state.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FIX_CLOCK \
    "set the clock: timedatectl set-ntp true, or date -s; a device without a battery for it needs NTP at each start"

/* Says whether a certificate is not valid yet. */
static bool tell_early(struct doctor *doctor, const char *name, int64_t not_before_s, int64_t now_s)
{
    char now[T2C_CIVIL_TEXT_MAX], from[T2C_CIVIL_TEXT_MAX];
    if (not_before_s <= now_s)
        return false;
    checklist_bad(&doctor->list, "clock", FIX_CLOCK, "it says %s, and the certificate of %s is valid from %s on",
        t2c_civil_text(now_s, now), name, t2c_civil_text(not_before_s, from));
    return true;
}

static bool tell_early_name(struct doctor *doctor, const char *name, int64_t now_s)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    int64_t before_s = 0, after_s = 0;
    const struct t2c_uri uri = t2c_uri_of(name);
    return t2c_name_read_certs(&uri, NULL, &chain, NULL) &&
        t2c_cert_validity(sk_X509_value(chain, 0), &before_s, &after_s, NULL) &&
        tell_early(doctor, name, before_s, now_s);
}

/* By the first certificate that is too early, of the names here or of estd's. */
static bool tell_certificates(struct doctor *doctor, const struct estd_place *place, int64_t now_s)
{
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    bool told = false;
    if (doctor->no_tpm.code == T2C_OK)
        t2c_name_list(&list, NULL);
    for (size_t i = 0; i < list.n && !told; i++)
        told = list.entries[i].has_cert && tell_early_name(doctor, list.entries[i].name, now_s);
    if (place->state_dir != NULL)
        t2c_state_read(place->state_dir, &state, NULL);
    for (size_t i = 0; i < state.entries_n && !told; i++)
        told = tell_early(doctor, state.entries[i]->name, state.entries[i]->not_before_s, now_s);
    return told;
}

void doctor_clock(struct doctor *doctor, const struct estd_place *place, int64_t now_s)
{
    struct stat program;
    char now[T2C_CIVIL_TEXT_MAX], then[T2C_CIVIL_TEXT_MAX];
    if (stat("/proc/self/exe", &program) == 0 && (int64_t)program.st_mtime > now_s)
        checklist_bad(&doctor->list, "clock", FIX_CLOCK, "it says %s, and this program was built at %s",
            t2c_civil_text(now_s, now), t2c_civil_text((int64_t)program.st_mtime, then));
    else if (!tell_certificates(doctor, place, now_s))
        checklist_ok(&doctor->list, "clock", "%s", t2c_civil_text(now_s, now));
}

static void doctor_fini(struct doctor *doctor)
{
    checklist_fini(&doctor->list);
}

bool cmd_doctor(int argc, char **argv, struct t2c_error *err)
{
    const char *conf = NULL, *root = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}, {"config", &conf, NULL}, {"root", &root, NULL}};
    T2C_CLEANUP(doctor_fini) struct doctor doctor = {0};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    struct t2c_error no_conf = {0};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err))
        return false;
    doctor_tpm(&doctor);
    doctor_sas(&doctor);
    doctor_dps(&doctor);
    doctor_aziot(&doctor, root);
    if (!estd_find(conf, &place, &no_conf))
        checklist_bad(&doctor.list, "estd", DOCTOR_FIX_CONF, "%s", no_conf.text);
    doctor_openssl(&doctor);
    doctor_clock(&doctor, &place, time(NULL));
    if (place.conf != NULL)
        doctor_estd(&doctor, &place);
    return checklist_answer(&doctor.list, json, err);
}
