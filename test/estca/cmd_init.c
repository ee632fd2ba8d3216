/* estca init: make the little PKI. */
#include <stdlib.h>
#include <time.h>

#include "cmd.h"
#include "pki.h"

#define AT(member) offsetof(struct pki_plan, member)

static const struct opt opts[] = {
    {"name", "TEXT", "CN prefix of the CAs (\"tpm2cloud test\")", OPT_TEXT, AT(name), 0, 0, NULL},
    {"server-name", "NAME", "CN and only SAN of the server certificate (localhost)", OPT_TEXT, AT(server_name), 0, 0,
        NULL},
    {"server-days", "N", "how long the server certificate lives (365); negative: expired", OPT_NUMBER, AT(server_days),
        -36500, 36500, NULL},
    {"server-is-ra", NULL, "the server certificate bears id-kp-cmcRA", OPT_FLAG, AT(server_is_ra), 0, 0, NULL},
    {"sub-ca", NULL, "the issuing CA may certify CAs", OPT_FLAG, AT(sub_ca), 0, 0, NULL},
};

static int run(const struct verb *verb, int argc, char **argv)
{
    struct fail err;
    const char *dir = NULL;
    struct pki_plan plan = {.name = "tpm2cloud test", .server_days = 365};

    if (!opts_parse(verb, argc, argv, &plan, &dir, &err))
        return cmd_say(verb, &err, EXIT_USAGE);
    if (!pki_init(dir, &plan, (int64_t)time(NULL), &err))
        return cmd_say(verb, &err, EXIT_FAILURE);
    return EXIT_SUCCESS;
}

const struct verb cmd_init = {
    "init",
    "DIR [options]",
    "Make root, issuing CA and server certificate in DIR; files that are there are kept.",
    opts,
    sizeof(opts) / sizeof(opts[0]),
    run,
};
