/*
 * tpm2cloud cert import | export
 */
#include "certs.h"
#include "cmd.h"
#include <limits.h>
#include <stdio.h>

bool cmd_cert_import(int argc, char **argv, struct t2c_error *err)
{
    const char *words[2] = {NULL, NULL};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    char where[PATH_MAX];
    if (!cmd_parse(argc, argv, NULL, 0, words, 2, err) || !cmd_check_name(words[0], err) ||
        !certs_read(words[1], &chain, err) || !t2c_name_write_certs(words[0], chain, where, sizeof(where), err))
        return false;
    printf("%s: certificate stored in %s\n", words[0], where);
    return true;
}

bool cmd_cert_export(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *path = NULL;
    const struct cmd_option options[] = {{"out", &path, NULL}};
    struct t2c_uri uri = {0};
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !cmd_check_name(name, err))
        return false;
    snprintf(uri.name, sizeof(uri.name), "%s", name);
    return t2c_name_read_certs(&uri, NULL, &chain, err) && t2c_cert_append_pem(chain, &pem, err) &&
        cmd_write(path, &pem, err);
}
