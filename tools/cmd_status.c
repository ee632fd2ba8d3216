/*
 * tpm2cloud status
 */
#include "cmd.h"

#include "tpm2cloud/civil.h"
#include "tpm2cloud/name.h"
#include "tpm2cloud/tpm.h"
#include <stdio.h>

struct row {
    char key[48];
    char issuer[96];
    char expiry[T2C_CIVIL_TEXT_MAX];
};

static void fill_key(const struct t2c_uri *uri, struct row *row)
{
    T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
    struct t2c_error why = {0};
    if (!t2c_name_read_key(uri->name, &key, &why))
        snprintf(row->key, sizeof(row->key), "%s", why.code == T2C_NOT_FOUND ? "-" : "unreadable");
    else if (t2c_key_handle(key) != 0)
        snprintf(row->key, sizeof(row->key), "%s 0x%08x", t2c_alg_name(t2c_key_alg(key)), t2c_key_handle(key));
    else
        snprintf(row->key, sizeof(row->key), "%s key file", t2c_alg_name(t2c_key_alg(key)));
}

static void fill_cert(const struct t2c_uri *uri, struct row *row)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    struct t2c_error why = {0};
    int64_t before = 0, after = 0;
    if (!t2c_name_read_certs(uri, NULL, &chain, &why) || !t2c_cert_validity(sk_X509_value(chain, 0), &before, &after, &why)) {
        snprintf(row->issuer, sizeof(row->issuer), "%s", why.code == T2C_NOT_FOUND ? "-" : "unreadable");
        snprintf(row->expiry, sizeof(row->expiry), "-");
        return;
    }
    t2c_cert_name_text(X509_get_issuer_name(sk_X509_value(chain, 0)), row->issuer, sizeof(row->issuer));
    t2c_civil_text(after, row->expiry);
}

static void print_tpm(const struct t2c_tpm_info *info)
{
    printf("TPM: %s, firmware %u.%u.%u.%u, specification %u.%02u, at %s\n", info->manufacturer, info->firmware[0] >> 16,
        info->firmware[0] & 0xFFFF, info->firmware[1] >> 16, info->firmware[1] & 0xFFFF, info->revision / 100,
        info->revision % 100, info->tcti);
    if (info->in_lockout)
        printf("TPM: in dictionary-attack lockout; recovers in at most %u s\n", info->lockout_recovery_s);
}

bool cmd_status(int argc, char **argv, struct t2c_error *err)
{
    struct t2c_tpm_info info;
    T2C_CLEANUP(t2c_name_list_fini) struct t2c_name_list list = {0};
    if (!cmd_parse(argc, argv, NULL, 0, NULL, 0, err) || !t2c_tpm_info(&info, err) || !t2c_name_list(&list, err))
        return false;
    print_tpm(&info);
    cmd_warn_hidden(&list);
    printf("%-16s %-20s %-21s %s\n", "NAME", "KEY", "EXPIRES", "ISSUER");
    for (size_t i = 0; i < list.n; i++) {
        struct t2c_uri uri = {0};
        struct row row = {0};
        snprintf(uri.name, sizeof(uri.name), "%s", list.entries[i].name);
        fill_key(&uri, &row);
        fill_cert(&uri, &row);
        printf("%-16s %-20s %-21s %s\n", uri.name, row.key, row.expiry, row.issuer);
    }
    return true;
}
