/*
 * tpm2cloud dps register | show
 */
#include "cmd.h"

#include "certs.h"
#include "dps.h"
#include "dps_ek.h"
#include "dps_tpm.h"
#include "json.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/ossl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_S 120
#define LIMIT_MAX_S 86400

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One of several members; without TEXT it is null. */
static void print_member(const char *before, const char *name, const char *text)
{
    fputs(before, stdout);
    json_member(name, text);
}

static const char *or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ---- register ---- */

static bool parse_number(
    const char *option, const char *text, int base, uint32_t min, uint32_t max, uint32_t *out, struct t2c_error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, base);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min || number > max)
        return cmd_fail_usage(
            err, base == 16 ? "--%s %s is not in 0x%x to 0x%x" : "--%s %s is not in %u to %u", option, text, min, max);
    *out = (uint32_t)number;
    return true;
}

static void print_result(const struct dps_record *record, bool kept)
{
    char at[T2C_CIVIL_TEXT_MAX];
    printf("assigned hub:    %s\ndevice id:       %s\n", record->hub, record->device);
    if (record->substatus[0] != '\0')
        printf("substatus:       %s\n", record->substatus);
    printf("registration id: %s\n", record->id);
    if (record->tpm)
        printf("its key:         handle %s\n", record->handle);
    printf("registered:      %s%s\n", t2c_civil_text(record->registered_s, at), kept ? ", and not asked again" : "");
}

static void print_result_json(const struct dps_record *record, bool kept)
{
    print_member("{", "assigned_hub", record->hub);
    print_member(", ", "device_id", record->device);
    print_member(", ", "substatus", or_null(record->substatus));
    print_member(", ", "registration_id", record->id);
    print_member(", ", "id_scope", record->scope);
    print_member(", ", "attestation", record->tpm ? "tpm" : "x509");
    print_member(", ", "handle", or_null(record->handle));
    print_member(", ", "tpm_name", or_null(record->name));
    printf(", \"registered_s\": %" PRId64 ", \"kept\": %s}\n", record->registered_s, kept ? "true" : "false");
}

bool cmd_dps_register(int argc, char **argv, struct t2c_error *err)
{
    struct dps_job job = {.target = {.endpoint = DPS_ENDPOINT, .api_version = DPS_API_VERSION}, .handle = DPS_HANDLE};
    const char *handle = NULL, *timeout = NULL;
    bool tpm = false, json = false, kept = false;
    uint32_t limit_s = LIMIT_S;
    const struct cmd_option options[] = {{"scope", &job.target.scope, NULL}, {"id", &job.target.id, NULL},
        {"x509", &job.x509, NULL}, {"tpm", NULL, &tpm}, {"auth", &job.auth, NULL},
        {"endpoint", &job.target.endpoint, NULL}, {"trust", &job.trust, NULL},
        {"api-version", &job.target.api_version, NULL}, {"handle", &handle, NULL}, {"timeout", &timeout, NULL},
        {"force", NULL, &job.force}, {"json", NULL, &json}};
    struct dps_record record;
    if (!cmd_parse(argc, argv, options, COUNT(options), NULL, 0, err))
        return false;
    if (job.target.scope == NULL)
        return cmd_fail_usage(err, "--scope is missing: the ID scope that the overview of the DPS instance shows");
    if (tpm && job.x509 != NULL)
        return cmd_fail_usage(err, "either --tpm or --x509 attests");
    if ((handle != NULL && !parse_number("handle", handle, 16, 0x81000003, 0x817FFFFF, &job.handle, err)) ||
        (timeout != NULL && !parse_number("timeout", timeout, 10, 1, LIMIT_MAX_S, &limit_s, err)))
        return false;
    job.limit_s = limit_s;
    if (!dps_register(&job, &record, &kept, err))
        return false;
    (json ? print_result_json : print_result)(&record, kept);
    return true;
}

/* ---- show ---- */

/* What an enrolment needs. */
struct shown {
    struct dps_tpm tpm;
    struct dps_ek ek;
    struct t2c_error doubt;
    char id[DPS_ID_MAX], place[64];
    char digest[T2C_SHA256_HEX_MAX];
    struct t2c_bytes ek_text, srk_text; /* base64 */
};

static void shown_fini(struct shown *shown)
{
    dps_tpm_fini(&shown->tpm);
    dps_ek_fini(&shown->ek);
    t2c_bytes_fini(&shown->ek_text);
    t2c_bytes_fini(&shown->srk_text);
}

static bool look(const char *id, struct shown *out, struct t2c_error *err)
{
    bool persistent = false;
    const struct dps_target target = {DPS_ENDPOINT, DPS_API_VERSION, "0", id};
    if ((id != NULL && !dps_target_check(&target, err)) || !dps_tpm_open(&out->tpm, false, err) ||
        !dps_ek_look(out->tpm.attester, &out->ek, &out->doubt, err) || !dps_id_of_ek(&out->tpm.ek, out->id, err) ||
        !t2c_bytes_base64(&out->ek_text, out->tpm.ek.data, out->tpm.ek.len, 0, err) ||
        !t2c_bytes_base64(&out->srk_text, out->tpm.srk.data, out->tpm.srk.len, 0, err) ||
        !t2c_host_sha256_hex(out->tpm.ek.data, out->tpm.ek.len, out->digest, err))
        return false;
    if (id != NULL)
        snprintf(out->id, sizeof(out->id), "%s", id);
    const struct t2c_identity_slot *slot = t2c_attester_slot(out->tpm.attester, &persistent);
    if (persistent)
        snprintf(out->place, sizeof(out->place), "at 0x%08x", slot->handle);
    else
        snprintf(out->place, sizeof(out->place), "made from its template, at no handle");
    return true;
}

static bool print_shown(const struct shown *shown, struct t2c_error *err)
{
    bool persistent = false;
    const struct t2c_identity_slot *slot = t2c_attester_slot(shown->tpm.attester, &persistent);
    printf("registration id:  %s\n", shown->id);
    printf("endorsement key:  %s, %s\n", t2c_alg_name(slot->alg), shown->place);
    printf("  SHA-256:        %s\n", shown->digest);
    printf("  TPM2B_PUBLIC:   %s\n", (const char *)shown->ek_text.data);
    printf("storage root key: %s\n",
        shown->tpm.srk.len > 0 ? (const char *)shown->srk_text.data : "none yet; dps register makes it");
    if (shown->ek.cert == NULL || shown->ek.cert->certs == NULL) {
        puts(shown->ek.cert == NULL ? "certificate:      none; its maker left none in the TPM"
                                    : "certificate:      damaged, see: tpm2cloud ek show");
        return true;
    }
    printf("certificate:      in NV index 0x%08x, %s\n", slot->nv,
        shown->ek.certified ? "of this endorsement key" : "of ANOTHER endorsement key");
    return certs_print(sk_X509_value(shown->ek.cert->certs, 0), err);
}

static bool print_shown_json(const struct shown *shown, struct t2c_error *err)
{
    bool persistent = false;
    const struct t2c_identity_slot *slot = t2c_attester_slot(shown->tpm.attester, &persistent);
    char handle[16] = "";
    if (persistent)
        snprintf(handle, sizeof(handle), "0x%08x", slot->handle);
    print_member("{", "registration_id", shown->id);
    print_member(", ", "endorsement_key", (const char *)shown->ek_text.data);
    print_member(", ", "endorsement_key_sha256", shown->digest);
    print_member(", ", "algorithm", t2c_alg_name(slot->alg));
    print_member(", ", "handle", or_null(handle));
    print_member(", ", "storage_root_key", or_null((const char *)shown->srk_text.data));
    if (shown->ek.cert == NULL || shown->ek.cert->certs == NULL) {
        puts(", \"certified\": null, \"certificate\": null}");
        return true;
    }
    printf(", \"certified\": %s, \"certificate\": {", shown->ek.certified ? "true" : "false");
    if (!certs_print_json(sk_X509_value(shown->ek.cert->certs, 0), err))
        return false;
    puts("}}");
    return true;
}

bool cmd_dps_show(int argc, char **argv, struct t2c_error *err)
{
    const char *id = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"id", &id, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(shown_fini) struct shown shown = {0};
    if (!cmd_parse(argc, argv, options, COUNT(options), NULL, 0, err) || !look(id, &shown, err))
        return false;
    if (shown.doubt.code != T2C_OK)
        fprintf(stderr, "tpm2cloud: %s\n", shown.doubt.text);
    return json ? print_shown_json(&shown, err) : print_shown(&shown, err);
}
