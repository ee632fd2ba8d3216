/*
 * tpm2cloud dps token: what a device that registered by its TPM shows to its hub. The record of the registration says whom the token
 * is for, and which key must be at the handle: one that somebody else put there would make tokens that the hub refuses.
 */
#include "cmd.h"

#include "dps_record.h"
#include "dps_tpm.h"
#include "json.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TTL_MAX_S (365 * 86400)

static bool find_id(const char *asked, char out[DPS_ID_MAX], struct t2c_error *err)
{
    T2C_CLEANUP(dps_tpm_fini) struct dps_tpm tpm = {0};
    const struct dps_target target = {DPS_ENDPOINT, DPS_API_VERSION, "0", asked};
    if (asked == NULL)
        return dps_tpm_open(&tpm, false, err) && dps_id_of_ek(&tpm.ek, out, err);
    if (!dps_target_check(&target, err))
        return false;
    snprintf(out, DPS_ID_MAX, "%s", asked);
    return true;
}

static bool read_record(const char *id, struct dps_record *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    struct t2c_error why = {0};
    if (!dps_record_path(id, &path, err))
        return false;
    if (!dps_record_read(path, out, &why))
        return why.code == T2C_NOT_FOUND
            ? t2c_fail(err, why.code,
                  "%s is not registered from here (no %s); register it with: tpm2cloud dps register", id, path)
            : t2c_fail_with(err, &why);
    return out->tpm ||
        t2c_fail(err, T2C_INVALID, "%s is registered by a certificate, which is shown to the hub, and no token", id);
}

/* Opens the key of RECORD, if it is still the one. */
static bool open_key(const struct dps_record *record, struct t2c_key **out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    char name[T2C_KEY_NAME_HEX_MAX];
    if (!t2c_secret_open_handle((uint32_t)strtoul(record->handle, NULL, 16), &key, err) ||
        !t2c_key_name_hex(key, name, sizeof(name), err))
        return t2c_fail_context(err, "the key of %s", record->id);
    if (strcmp(name, record->name) != 0)
        return t2c_fail(err, T2C_EXISTS,
            "another key than the one of the registration is at handle %s, as when aziot-tpmd registered since; "
            "register "
            "again with: tpm2cloud dps register --force",
            record->handle);
    *out = T2C_STEAL(key);
    return true;
}

static bool make_token(const struct dps_record *record, int64_t expires_s, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes resource = {0};
    struct t2c_sas whom = {0};
    snprintf(whom.host, sizeof(whom.host), "%s", record->hub);
    snprintf(whom.device, sizeof(whom.device), "%s", record->device);
    if (!t2c_sas_check(&whom, err) || !t2c_sas_resource(&whom, &resource, err) || !open_key(record, &key, err))
        return false;
    const struct t2c_sas_claim claim = {(const char *)resource.data, NULL, expires_s};
    return dps_tpm_sign(key, &claim, out, err);
}

bool cmd_dps_token(int argc, char **argv, struct t2c_error *err)
{
    const char *asked = NULL, *ttl = "1h";
    bool json = false;
    const struct cmd_option options[] = {{"id", &asked, NULL}, {"ttl", &ttl, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes token = {0};
    struct dps_record record;
    char id[DPS_ID_MAX];
    int64_t ttl_s = 0;
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err) ||
        !cmd_parse_period("ttl", ttl, TTL_MAX_S, &ttl_s, err) || !find_id(asked, id, err) ||
        !read_record(id, &record, err))
        return false;
    const int64_t expires_s = time(NULL) + ttl_s;
    if (!make_token(&record, expires_s, &token, err))
        return false;
    if (json) {
        printf("{\"token\": \"%s\", ", (const char *)token.data);
        json_member("assigned_hub", record.hub);
        fputs(", ", stdout);
        json_member("device_id", record.device);
        printf(", \"expires\": %" PRId64 "}\n", expires_s);
    } else
        puts((const char *)token.data);
    return true;
}
