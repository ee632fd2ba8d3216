/*
 * tpm2cloud ek show | verify
 */
#include "cmd.h"

#include "ek.h"
#include <stdio.h>
#include <time.h>

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

bool cmd_ek_verify(int argc, char **argv, struct t2c_error *err)
{
    const char *roots = NULL, *intermediates = NULL;
    bool json = false, ok = true;
    const struct cmd_option options[] = {
        {"roots", &roots, NULL}, {"intermediates", &intermediates, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(ek_fini) struct ek ek = {0};
    T2C_CLEANUP(ek_trust_fini) struct ek_trust trust = {0};
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err) ||
        !ek_trust_read(roots, intermediates, &trust, err) || !ek_read(&ek, err))
        return false;
    if (ek.n == 0)
        return answer_none(json, err);
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
