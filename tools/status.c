/*
 * The two forms of tpm2cloud status.
 */
#include "status.h"

#include "json.h"
#include "tpm2cloud/cert.h"
#include "tpm2cloud/civil.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAR_LEN 12

void status_fini(struct status *status)
{
    free(status->rows);
    free(status->state_dir);
    *status = (struct status){0};
}

/* ---- for humans ---- */

static void print_tpm(const struct status *status)
{
    const struct t2c_tpm_info *tpm = &status->tpm;
    if (status->no_tpm.code != T2C_OK) {
        printf("TPM: %s\n", status->no_tpm.text);
        return;
    }
    printf("TPM: %s, firmware %u.%u.%u.%u, specification %u.%02u, at %s\n", tpm->manufacturer, tpm->firmware[0] >> 16,
        tpm->firmware[0] & 0xFFFF, tpm->firmware[1] >> 16, tpm->firmware[1] & 0xFFFF, tpm->revision / 100,
        tpm->revision % 100, tpm->tcti);
    if (tpm->in_lockout)
        printf("TPM: in dictionary-attack lockout; recovers in at most %u s\n", tpm->lockout_recovery_s);
}

static void print_estd(const struct status *status)
{
    char since[T2C_CIVIL_TEXT_MAX];
    if (!status->estd_known)
        return;
    if (status->no_estd.code == T2C_OK)
        printf("estd: version %s, running since %s\n", status->estd.version,
            t2c_civil_text(status->estd.started_s, since));
    else
        printf("estd: %s; what is known of its certificates is from %s/" T2C_STATE_FILE "\n", status->no_estd.text,
            status->state_dir);
}

/* "23 d", in the largest unit that says something. */
static void span_text(int64_t span_s, char *out, size_t out_len)
{
    static const struct {
        int64_t s;
        const char *unit;
    } units[] = {{365 * 86400, "y"}, {86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;
    while (i + 1 < sizeof(units) / sizeof(units[0]) && span_s < 2 * units[i].s)
        i++;
    snprintf(out, out_len, "%" PRId64 " %s", span_s / units[i].s, units[i].unit);
}

/* Gives the cell of the bar that AT_S falls into. */
static int cell_of(const struct status_row *row, int64_t at_s)
{
    double part = (double)(at_s - row->not_before_s) / (double)(row->not_after_s - row->not_before_s);
    return part < 0 ? 0 : part >= 1 ? BAR_LEN : (int)(part * BAR_LEN);
}

/* "[....##|#####] 23 d": '.' is over, '#' is left, '|' is when it is renewed. */
static void bar_text(const struct status_row *row, int64_t now_s, char *out, size_t out_len)
{
    char bar[BAR_LEN + 1], left[32];
    bool never = row->not_after_s >= T2C_CERT_NEVER;
    if (row->not_after_s <= row->not_before_s || never || now_s >= row->not_after_s) {
        snprintf(out, out_len, "%s", row->not_after_s == 0 || never ? "-" : "expired");
        return;
    }
    for (int i = 0; i < BAR_LEN; i++)
        bar[i] = i < cell_of(row, now_s) ? '.' : '#';
    bar[BAR_LEN] = '\0';
    int64_t next_s = row->kept ? row->estd.state.next_s : 0;
    if (next_s > now_s && next_s < row->not_after_s)
        bar[cell_of(row, next_s)] = '|';
    span_text(row->not_after_s - now_s, left, sizeof(left));
    snprintf(out, out_len, "[%s] %s", bar, left);
}

static const char *time_text(int64_t at_s, char out[T2C_CIVIL_TEXT_MAX])
{
    return at_s == 0 ? strcpy(out, "-") : t2c_civil_text(at_s, out);
}

static void print_row(const struct status_row *row, bool bars, int64_t now_s)
{
    char bar[64], expires[T2C_CIVIL_TEXT_MAX], next[T2C_CIVIL_TEXT_MAX] = "-", renewals[24] = "-";
    const char *issuer = row->cert_unreadable ? "unreadable" : row->issuer[0] != '\0' ? row->issuer : "-";
    if (row->kept) {
        snprintf(renewals, sizeof(renewals), "%" PRIu64, row->estd.state.renewals);
        bool waits = row->estd.doing[0] == '\0' || strcmp(row->estd.doing, "waiting") == 0;
        snprintf(next, sizeof(next), "%s", waits ? time_text(row->estd.state.next_s, expires) : row->estd.doing);
    }
    printf("%-16s %-20s %-21s ", row->name, row->key[0] != '\0' ? row->key : "-", time_text(row->not_after_s, expires));
    if (bars) {
        bar_text(row, now_s, bar, sizeof(bar));
        printf("%-21s ", bar);
    }
    printf("%-21s %8s  %s\n", next, renewals, issuer);
}

static void print_trouble(const struct status_row *row, int64_t now_s)
{
    const struct t2c_state_entry *state = &row->estd.state;
    char at[T2C_CIVIL_TEXT_MAX], next[T2C_CIVIL_TEXT_MAX];
    bool cut = strlen(state->last_error) == sizeof(state->last_error) - 1;
    if (row->not_after_s > 0 && row->not_after_s <= now_s)
        printf("%s: its certificate has expired\n", row->name);
    if (state->failures > 0)
        printf("%s: failed %" PRIu64 " time(s) in a row, last at %s: %s%s; next try %s\n", row->name, state->failures,
            time_text(state->last_failure_s, at), state->last_error, cut ? "... (estd's log has all of it)" : "",
            time_text(state->next_s, next));
    if (state->rung > 0)
        printf(
            "%s: the server refused its certificate, so that [auth] asks; that is over when one has renewed itself\n",
            row->name);
    if (state->pending_until_s > 0)
        printf("%s: the server has the request and issues later; it is asked again at %s\n", row->name,
            t2c_civil_text(state->pending_until_s, at));
    if (state->deploy_pending)
        printf("%s: the new certificate waits for root's part of the installation\n", row->name);
    if (state->dps_failures > 0)
        printf("%s: the new certificate is not registered at DPS, which failed %" PRIu64
               " time(s) in a row: %s; next try %s\n",
            row->name, state->dps_failures, state->dps_error, t2c_civil_text(state->dps_next_s, at));
    else if (state->dps_next_s > 0)
        printf("%s: the new certificate is to be registered at DPS, at %s\n", row->name,
            t2c_civil_text(state->dps_next_s, at));
}

void status_print_table(const struct status *status, bool bars, int64_t now_s)
{
    print_tpm(status);
    print_estd(status);
    printf("%-16s %-20s %-21s ", "NAME", "KEY", "EXPIRES");
    if (bars)
        printf("%-21s ", "LEFT");
    printf("%-21s %8s  %s\n", "NEXT STEP", "RENEWALS", "ISSUER");
    for (size_t i = 0; i < status->rows_n; i++)
        print_row(&status->rows[i], bars, now_s);
    for (size_t i = 0; i < status->rows_n; i++)
        if (status->rows[i].kept)
            print_trouble(&status->rows[i], now_s);
}

/* ---- for programs ---- */

static void print_tpm_json(const struct status *status)
{
    const struct t2c_tpm_info *tpm = &status->tpm;
    json_name("tpm");
    if (status->no_tpm.code != T2C_OK) {
        fputs("{\"error\": ", stdout);
        json_text(status->no_tpm.text);
        fputs("}", stdout);
        return;
    }
    fputs("{\"manufacturer\": ", stdout);
    json_text(tpm->manufacturer);
    fputs(", \"tcti\": ", stdout);
    json_text(tpm->tcti);
    printf(", \"in_lockout\": %s}", tpm->in_lockout ? "true" : "false");
}

static void print_estd_json(const struct status *status)
{
    json_name("estd");
    if (!status->estd_known) {
        fputs("null", stdout);
        return;
    }
    bool runs = status->no_estd.code == T2C_OK;
    printf("{\"running\": %s, ", runs ? "true" : "false");
    json_name(runs ? "version" : "error");
    json_text(runs ? status->estd.version : status->no_estd.text);
    if (runs)
        printf(", \"started_s\": %" PRId64, status->estd.started_s);
    putchar('}');
}

static void print_row_json(const struct status_row *row)
{
    fputs("{\"name\": ", stdout);
    json_text(row->name);
    fputs(", \"key\": ", stdout);
    json_text(row->key);
    printf(", \"not_before_s\": %" PRId64 ", \"not_after_s\": %" PRId64 ", \"issuer\": ", row->not_before_s,
        row->not_after_s);
    json_text(row->issuer);
    fputs(", \"estd\": ", stdout);
    if (!row->kept) {
        fputs("null}", stdout);
        return;
    }
    fputs("{\"doing\": ", stdout);
    json_text(row->estd.doing);
    fputs(", ", stdout);
    json_members(t2c_state_fields, T2C_STATE_FIELDS_N, &row->estd.state);
    fputs("}}", stdout);
}

void status_print_json(const struct status *status, int64_t now_s)
{
    printf("{\"now_s\": %" PRId64 ", ", now_s);
    print_tpm_json(status);
    fputs(", ", stdout);
    print_estd_json(status);
    fputs(", \"names\": [", stdout);
    for (size_t i = 0; i < status->rows_n; i++) {
        fputs(i > 0 ? ",\n  " : "\n  ", stdout);
        print_row_json(&status->rows[i]);
    }
    puts("\n]}");
}
