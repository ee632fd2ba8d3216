/*
 * tpm2cloud ek show | verify
 */
#include "cmd.h"

#include "certs.h"
#include "ek.h"
#include <stdio.h>
#include <time.h>

#define OUR_ROOTS PKGDATADIR "/ek-roots"
#define OWN_ROOTS "/etc/tpm2cloud/ek-roots"

/* That a maker left no certificate is common (firmware TPMs), and no failure. */
static bool answer_none(bool json, struct t2c_error *err)
{
    puts(json ? "{\"certificates\": [], \"chain\": []}"
              : "this TPM holds no certificate of an endorsement key; ask its maker, some publish them by the key");
    return cmd_answer(err, CMD_EXIT_NONE);
}

bool cmd_ek_show(int argc, char **argv, struct t2c_error *err)
{
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}};
    T2C_CLEANUP(ek_fini) struct ek ek = {0};
    if (!cmd_parse(argc, argv, options, 1, NULL, 0, err) || !ek_read(&ek, err))
        return false;
    if (ek.n == 0)
        return answer_none(json, err);
    return json ? ek_print_json(&ek, false, err) : ek_print(&ek, err);
}

/* The directories that are there when none is named. */
static bool collect_default(STACK_OF(X509) *anchors, struct t2c_error *err)
{
    static const char *const dirs[] = {OUR_ROOTS, OWN_ROOTS};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        if (access(dirs[i], F_OK) == 0 && !certs_collect(dirs[i], anchors, err))
            return false;
    return true;
}

static bool read_trust(const char *roots, const char *intermediates, struct ek_trust *trust, struct t2c_error *err)
{
    if (trust->anchors == NULL || trust->intermediates == NULL)
        return t2c_fail_nomem(err);
    return (roots != NULL ? certs_collect(roots, trust->anchors, err) : collect_default(trust->anchors, err)) &&
        (intermediates == NULL || certs_collect(intermediates, trust->intermediates, err));
}

static void trust_fini(struct ek_trust *trust)
{
    t2c_x509s_freep(&trust->anchors);
    t2c_x509s_freep(&trust->intermediates);
}

bool cmd_ek_verify(int argc, char **argv, struct t2c_error *err)
{
    const char *roots = NULL, *intermediates = NULL;
    bool json = false, ok = true;
    const struct cmd_option options[] = {
        {"roots", &roots, NULL}, {"intermediates", &intermediates, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(ek_fini) struct ek ek = {0};
    T2C_CLEANUP(trust_fini) struct ek_trust trust = {sk_X509_new_null(), sk_X509_new_null(), OWN_ROOTS};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err) ||
        !read_trust(roots, intermediates, &trust, err) || !ek_read(&ek, err))
        return false;
    if (ek.n == 0)
        return answer_none(json, err);
    if (roots != NULL)
        trust.where = roots;
    for (size_t i = 0; i < ek.n; i++) {
        ek_judge(&ek, &ek.certs[i], &trust, time(NULL));
        ok = ok && ek.certs[i].bad.code == T2C_OK;
    }
    if (json && !ek_print_json(&ek, true, err))
        return false;
    if (!json)
        ek_print_verdicts(&ek);
    return cmd_answer(err, ok ? 0 : 1);
}
