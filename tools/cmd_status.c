/*
 * tpm2cloud status
 */
#include "cmd.h"

#include "status.h"
#include "tpm2cloud/text.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Gives a new row at the end, or NULL without memory; it stays where it is until the next one. */
static struct status_row *add_row(struct status *status, const char *name)
{
    struct status_row *rows = realloc(status->rows, (status->rows_n + 1) * sizeof(*rows));
    if (rows == NULL)
        return NULL;
    status->rows = rows;
    struct status_row *row = &rows[status->rows_n++];
    memset(row, 0, sizeof(*row));
    t2c_text_copy(row->name, sizeof(row->name), name);
    return row;
}

/* ---- the TPM and the directories ---- */

static void fill_key(struct status_row *row)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    if (!t2c_name_read_key(row->name, &key, &why))
        snprintf(row->key, sizeof(row->key), "%s", why.code == T2C_NOT_FOUND ? "" : "unreadable");
    else if (t2c_key_handle(key) != 0)
        snprintf(row->key, sizeof(row->key), "%s 0x%08x", t2c_alg_name(t2c_key_alg(key)), t2c_key_handle(key));
    else
        snprintf(row->key, sizeof(row->key), "%s key file", t2c_alg_name(t2c_key_alg(key)));
}

static void fill_cert(struct status_row *row)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    char issuer[256];
    const struct t2c_uri uri = t2c_uri_of(row->name);
    if (!t2c_name_read_certs(&uri, NULL, &chain, &why) ||
        !t2c_cert_validity(sk_X509_value(chain, 0), &row->not_before_s, &row->not_after_s, &why)) {
        row->cert_unreadable = why.code != T2C_NOT_FOUND;
        return;
    }
    t2c_cert_name_text(X509_get_issuer_name(sk_X509_value(chain, 0)), issuer, sizeof(issuer));
    t2c_text_copy(row->issuer, sizeof(row->issuer), issuer);
}

/* Without a TPM the rest is shown all the same. */
static bool collect_names(struct status *status, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!t2c_tpm_info(&status->tpm, &status->no_tpm) || !t2c_name_list(&list, &status->no_tpm))
        return true;
    cmd_warn_hidden(&list);
    for (size_t i = 0; i < list.n; i++) {
        struct status_row *row = add_row(status, list.entries[i].name);
        if (row == NULL)
            return t2c_fail_nomem(err);
        fill_key(row);
        fill_cert(row);
    }
    return true;
}

/* ---- estd ---- */

static struct status_row *find_row(struct status *status, const char *name)
{
    for (size_t i = 0; i < status->rows_n; i++)
        if (strcmp(status->rows[i].name, name) == 0)
            return &status->rows[i];
    return add_row(status, name);
}

/* What estd has installed counts more than a file of the same name. */
static void add_certificate(struct status *status, const struct t2c_certificate *certificate)
{
    const struct t2c_state_entry *state = &certificate->state;
    struct status_row *row = find_row(status, state->name);
    if (row == NULL)
        return;
    row->kept = true;
    row->estd = *certificate;
    if (state->not_after_s == 0)
        return;
    row->cert_unreadable = false;
    row->not_before_s = state->not_before_s;
    row->not_after_s = state->not_after_s;
    strcpy(row->issuer, state->issuer);
}

static void on_reply(void *data, const struct t2c_reply *reply)
{
    if (reply->kind == T2C_TELL_CERTIFICATE)
        add_certificate(data, &reply->as.certificate);
}

static bool ask_estd(struct status *status, const struct estd_place *place, struct t2c_error *err)
{
    static const struct t2c_request request = {.kind = T2C_ASK_STATUS};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    return estd_open(place, &estd, err) && estd_request(estd, &request, on_reply, status, &status->estd, err);
}

static void read_state(struct status *status)
{
    T2C_CLEANUP(t2c_state_fini) struct t2c_state state = {0};
    struct t2c_error why = {0};
    if (!t2c_state_read(status->state_dir, &state, &why) && why.code != T2C_NOT_FOUND)
        fprintf(stderr, "tpm2cloud: what estd did cannot be told: %s\n", why.text);
    for (size_t i = 0; i < state.entries_n; i++) {
        const struct t2c_certificate certificate = {.state = *state.entries[i]};
        add_certificate(status, &certificate);
    }
}

static bool collect_estd(struct status *status, const char *conf, struct t2c_error *err)
{
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    if (!estd_find(conf, &place, err))
        return false;
    status->state_dir = strdup(place.state_dir);
    if (status->state_dir == NULL)
        return t2c_fail_nomem(err);
    bool runs = ask_estd(status, &place, &status->no_estd);
    status->estd_known = runs || place.configured;
    if (!runs && place.configured)
        read_state(status);
    return true;
}

bool cmd_status(int argc, char **argv, struct t2c_error *err)
{
    const char *conf = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}, {"config", &conf, NULL}};
    T2C_CLEANUP(status_fini) struct status status = {0};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err) ||
        !collect_names(&status, err) || !collect_estd(&status, conf, err))
        return false;
    if (status.no_tpm.code != T2C_OK && !status.estd_known)
        return t2c_fail_with(err, &status.no_tpm);
    if (json)
        status_print_json(&status, time(NULL));
    else
        status_print_table(&status, isatty(STDOUT_FILENO), time(NULL));
    return true;
}
