/*
 * A row for each metric. A time that is not known, or never comes, has no sample: a missing one is seen by absent(),
 * while a zero would look like 1970. Spec: Prometheus' text-based exposition format 0.0.4.
 */
#include "metrics.h"

#include "tpm2cloud/file.h"
#include <inttypes.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

enum shape { SHAPE_COUNT, SHAPE_TIME, SHAPE_FLAG };

static const struct metric {
    const char *name, *type, *help;
    enum shape shape;
    size_t offset;
} metrics[] = {
    {"tpm2cloud_certificate_not_after_timestamp_seconds", "gauge",
        "When the installed certificate expires, as Unix time.", SHAPE_TIME,
        offsetof(struct t2c_state_entry, not_after_s)},
    {"tpm2cloud_certificate_not_before_timestamp_seconds", "gauge",
        "From when on the installed certificate is valid, as Unix time.", SHAPE_TIME,
        offsetof(struct t2c_state_entry, not_before_s)},
    {"tpm2cloud_certificate_next_step_timestamp_seconds", "gauge", "When estd renews it or tries again, as Unix time.",
        SHAPE_TIME, offsetof(struct t2c_state_entry, next_s)},
    {"tpm2cloud_certificate_last_success_timestamp_seconds", "gauge",
        "When a certificate was installed last, as Unix time.", SHAPE_TIME,
        offsetof(struct t2c_state_entry, last_success_s)},
    {"tpm2cloud_certificate_last_failure_timestamp_seconds", "gauge", "When a step failed last, as Unix time.",
        SHAPE_TIME, offsetof(struct t2c_state_entry, last_failure_s)},
    {"tpm2cloud_certificate_renewals_total", "counter", "Certificates that were renewed.", SHAPE_COUNT,
        offsetof(struct t2c_state_entry, renewals)},
    {"tpm2cloud_certificate_failures_total", "counter", "Steps that failed.", SHAPE_COUNT,
        offsetof(struct t2c_state_entry, failures_in_all)},
    {"tpm2cloud_certificate_failures", "gauge", "Steps that failed since the last success.", SHAPE_COUNT,
        offsetof(struct t2c_state_entry, failures)},
    {"tpm2cloud_certificate_rung", "gauge",
        "0: the certificate renews itself, 1: it was refused, and that of [auth] asks or asked.", SHAPE_COUNT,
        offsetof(struct t2c_state_entry, rung)},
    {"tpm2cloud_certificate_deploy_pending", "gauge", "1 while root's part of the installation is not done.",
        SHAPE_FLAG, offsetof(struct t2c_state_entry, deploy_pending)},
    {"tpm2cloud_certificate_dps_failures", "gauge", "Registrations at DPS that failed since the last success.",
        SHAPE_COUNT, offsetof(struct t2c_state_entry, dps_failures)},
};

static bool append_head(
    struct t2c_bytes *out, const char *name, const char *help, const char *type, struct t2c_error *err)
{
    return t2c_bytes_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Names of certificates have nothing that would have to be quoted. */
static bool append_sample(
    struct t2c_bytes *out, const struct metric *metric, const struct t2c_state_entry *entry, struct t2c_error *err)
{
    const uint8_t *place = (const uint8_t *)entry + metric->offset;
    int64_t value = 0;
    if (metric->shape == SHAPE_FLAG)
        value = *(const bool *)place;
    else
        memcpy(&value, place, sizeof(value));
    if (metric->shape == SHAPE_TIME && (value == 0 || value == INT64_MAX))
        return true;
    return t2c_bytes_printf(out, err, "%s{name=\"%s\"} %" PRId64 "\n", metric->name, entry->name, value);
}

bool metrics_format(
    const struct config *config, const struct t2c_state *state, struct t2c_bytes *out, struct t2c_error *err)
{
    if (!append_head(out, "tpm2cloud_build_info", "The version of estd.", "gauge", err) ||
        !t2c_bytes_printf(out, err, "tpm2cloud_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION) ||
        !append_head(out, "tpm2cloud_certificates", "Certificates that are configured.", "gauge", err) ||
        !t2c_bytes_printf(out, err, "tpm2cloud_certificates %zu\n", config_certs_n(config)))
        return false;
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        if (!append_head(out, metrics[i].name, metrics[i].help, metrics[i].type, err))
            return false;
        for (size_t k = 0; k < config_certs_n(config); k++) {
            const struct t2c_state_entry *entry = t2c_state_find(state, config_cert(config, k)->name);
            if (entry != NULL && !append_sample(out, &metrics[i], entry, err))
                return false;
        }
    }
    return true;
}

bool metrics_write(const char *path, const struct config *config, const struct t2c_state *state, struct t2c_error *err)
{
    static const struct t2c_file_owner owner = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    return metrics_format(config, state, &text, err) && t2c_file_replace(path, text.data, text.len, &owner, err);
}
