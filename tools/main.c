/*
 * tpm2cloud: noun, then verb. A table of verbs; each is a file of its own.
 */
#include "cmd.h"
#include "help.h"

#include "tpm2cloud/log.h"
#include "tpm2cloud/tpm.h"
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct cmd cmds[] = {
    {"key", "create",
        "NAME [--alg ec-p256|ec-p384|ec-p521|rsa-2048|rsa-3072|rsa-4096] [--decrypt] [--auth "
        "file:/PATH|env:VAR|cred:ID] [--json]",
        "make a key in the TPM", cmd_key_create},
    {"key", "list", "[--json]", "list keys and certificates", cmd_key_list},
    {"key", "show", "NAME [--json]", "show a key and its public half", cmd_key_show},
    {"key", "pem", "NAME [--out FILE] [--json]", "write the key file that stands for a TPM key", cmd_key_pem},
    {"key", "pin", "NAME [--auth] [--replace] [--json]",
        "record the key that is at the handle of NAME, for programs to expect", cmd_key_pin},
    {"key", "delete", "NAME [--cert] [--force] [--json]",
        "delete a key; --cert: and its certificate; --force: even one of the factory's", cmd_key_delete},
    {"csr", NULL,
        "NAME --subject /CN=... [--san DNS:...,IP:...] [--eku USAGE] [--auth file:/PATH|env:VAR|cred:ID] [--out FILE] "
        "[--json]",
        "make a certificate request", cmd_csr},
    {"cert", "import", "NAME FILE [--json]", "store the certificate of a key", cmd_cert_import},
    {"cert", "export", "NAME [--out FILE] [--json]", "write the certificate of a key as PEM", cmd_cert_export},
    {"cert", "show", "NAME [--json]", "show the certificate of a key, and whether this TPM has that key",
        cmd_cert_show},
    {"cert", "verify", "NAME [--trust PATH] [--json]",
        "verify it: its key, its validity, its chain by the roots in a file or directory", cmd_cert_verify},
    {"cert", "selfsign",
        "NAME [--subject /CN=...] [--days N] [--san DNS:...,IP:...] [--eku USAGE] [--auth "
        "file:/PATH|env:VAR|cred:ID] [--out FILE] [--json]",
        "have a key certify itself, for 365 days unless --days says else; --eku: clientAuth unless set",
        cmd_cert_selfsign},
    {"ca", "init", "DIR [--name NAME] [--alg ec-p256|ec-p384|ec-p521|rsa-2048|rsa-3072|rsa-4096] [--json]",
        "make a root and an issuing CA in files, for development only; one that is there stays as it is", cmd_ca_init},
    {"ca", "sign",
        "DIR --csr FILE --profile idevid|ldevid|est-server [--subject /CN=...] [--serial-number TEXT] [--san "
        "DNS:...,IP:...] [--hardware-serial TEXT] [--hardware-type OID] [--days N] [--cmc-ra] [--out FILE] [--json]",
        "certify a request by that CA, with no more than the profile has; --serial-number: of the product, in the "
        "subject; --hardware-serial: in the HardwareModuleName, else the same; --cmc-ra: an EST server by any name",
        cmd_ca_sign},
    {"ek", "show", "[--json]", "show the certificates that the TPM's maker left in it; exits with 3 when there is none",
        cmd_ek_show},
    {"ek", "verify", "[--roots PATH] [--intermediates PATH] [--json]",
        "verify them, and that they are this TPM's; exits with 3 when there is none", cmd_ek_verify},
    {"doctor", NULL, "[--json] [--config FILE] [--root DIR]",
        "look for what is wrong with this machine, and say what mends it; exits with 1 when something is", cmd_doctor},
    {"status", NULL, "[--json] [--config FILE]", "show the TPM, its names, and what estd does about their certificates",
        cmd_status},
    {"enroll", NULL,
        "NAME [--auth secret|basic|mtls|ca] [--subject /CN=...] [--san DNS:...,IP:...] [--eku USAGE] [--profile "
        "PROFILE] "
        "[--key-auth file:/PATH|env:VAR|cred:ID] [--url URL] [--trust FILE|system] [--trust-fingerprint sha256:HEX] "
        "[--secret-from file:/PATH|env:VAR|cred:ID] [--header HEADER] [--user USER] "
        "[--password-from file:/PATH|env:VAR|cred:ID] [--method basic|digest|any] [--by NAME] "
        "[--by-auth file:/PATH|env:VAR|cred:ID] [--ca DIR] [--force] [--json] [--config FILE]",
        "enrol a certificate of estd anew, as its [auth] says; --auth: get a key its first certificate, by what is "
        "said here",
        cmd_enroll},
    {"renew", NULL, "NAME [--now] [--json] [--config FILE]",
        "have a running estd renew a certificate; --now: even while it waits after a failure", cmd_renew},
    {"reload", NULL, "[--json] [--config FILE]", "have a running estd read its configuration again", cmd_reload},
    {"aziot", "migrate", "[--dry-run] [--json] [--pin-from file:/PATH|env:VAR|cred:ID] [--root DIR]",
        "bring aziot-keyd's keys from files and PKCS#11 tokens into the TPM, and list what becomes of keys and "
        "certificates",
        cmd_aziot_migrate},
    {"aziot", "rollback", "[--lose] [--dry-run] [--json] [--root DIR]",
        "give aziot-keyd its files and its own library back; --lose: even keys that cannot be replaced",
        cmd_aziot_rollback},
    {"aziot", "clean", "[--lose] [--dry-run] [--json] [--root DIR]",
        "remove the files that were set aside when their keys came into the TPM", cmd_aziot_clean},
    {"aziot", "configure",
        "dps|est-basic|est-mtls --scope ID [--name NAME] [--edge-ca NAME] [--id ID] [--est URL] [--est-device URL] "
        "[--est-edge-ca URL] [--trust FILE,...] [--user USER] [--password-from file:/PATH|env:VAR|cred:ID] "
        "[--bootstrap NAME] [--threshold PERIOD] [--retry PERIOD] [--keep-key] [--hostname HOST] [--endpoint URL] "
        "[--dry-run] [--force] [--json] [--root DIR]",
        "write IoT Edge's config.toml for a device whose keys are in the TPM", cmd_aziot_configure},
    {"watch", NULL, "[--json] [--config FILE]", "show what a running estd does, as it happens", cmd_watch},
    {"provision", NULL,
        "[--config FILE] [--dry-run] [--profile tcg|iotedge-tpm2cloud] [--force] [--report FILE] [--json] [--root DIR]",
        "take a device from a blank TPM to a renewing identity; --force: replace files that say something else",
        cmd_provision},
    {"release", NULL, "[--yes] [--clear] [--dry-run] [--json] [--root DIR] [--config FILE]",
        "give a device back: everything of the owner's goes, the IDevID stays; --yes: now; --clear: the TPM forgets "
        "the "
        "owner's seed, too",
        cmd_release},
    {"pkcs11", "link",
        "--pin-from file:/PATH|env:VAR|cred:ID --so-pin-from file:/PATH|env:VAR|cred:ID [--token LABEL] [--store DIR] "
        "[--auth file:/PATH|env:VAR|cred:ID] [--json]",
        "put the LDevID into a token of tpm2-pkcs11, for programs that know no other way", cmd_pkcs11_link},
    {"dps", "register",
        "--scope ID [--id REG] [--tpm] [--x509 NAME] [--auth file:/PATH|env:VAR|cred:ID] [--endpoint URL] [--trust "
        "FILE] "
        "[--api-version V] [--handle 0x...] [--timeout SECONDS] [--force] [--json]",
        "register at Azure's Device Provisioning Service, by the TPM or by the certificate of NAME, unless that was "
        "done and "
        "still holds",
        cmd_dps_register},
    {"dps", "token", "[--id REG] [--ttl TIME] [--json]",
        "make a shared access signature for the hub, by the key that a registration by the TPM brought", cmd_dps_token},
    {"dps", "show", "[--id REG] [--json]",
        "show what an enrolment there needs: registration id, endorsement key, its hash and certificate", cmd_dps_show},
    {"sas", "import", "NAME --from FILE|cred:ID|env:VAR|- [--replace] [--json]",
        "put a shared access key, or that of a connection string, into the TPM", cmd_sas_import},
    {"sas", "token", "NAME [--ttl TIME] [--resource URI] [--key-name POLICY] [--json]",
        "have the TPM sign a shared access signature, for an hour unless --ttl says else", cmd_sas_token},
    {"sas", "forget", "NAME [--json]", "remove a shared access key from the TPM and the disk", cmd_sas_forget},
    {"jwt", NULL,
        "NAME --aud AUDIENCE --ttl TIME [--alg RS256|ES256] [--claim NAME=TEXT ...] [--skew TIME] [--auth "
        "file:/PATH|env:VAR|cred:ID] [--json]",
        "have a key sign a JSON web token; --claim NAME:=VALUE: a number, true, false or null", cmd_jwt},
    {NULL, NULL, NULL, NULL, NULL},
};

/* Finds the verb and how many words name it. */
static const struct cmd *find(int argc, char **argv, int *words)
{
    for (const struct cmd *cmd = cmds; cmd->noun != NULL; cmd++) {
        bool noun = argc > 1 && strcmp(argv[1], cmd->noun) == 0;
        bool verb = cmd->verb == NULL || (argc > 2 && strcmp(argv[2], cmd->verb) == 0);
        if (noun && verb) {
            *words = cmd->verb == NULL ? 1 : 2;
            return cmd;
        }
    }
    return NULL;
}

static bool wants_help(int argc, char **argv)
{
    bool help = false;
    for (int i = 1; i < argc; i++)
        help = help || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
    return help;
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
    struct t2c_error err = {0};
    uint8_t exit_code = 0;
    bool ok = cmd->run(argc, argv, &err);
    bool answered = !ok && cmd_is_answer(&err, &exit_code);
    if ((ok || answered) && (fflush(stdout) != 0 || ferror(stdout)))
        ok = answered = t2c_fail(&err, T2C_IO, "cannot write to standard output");
    cmd_close();
    if (ok || answered)
        return exit_code;
    fprintf(stderr, "tpm2cloud: %s\n", err.text);
    if (err.detail != CMD_USAGE)
        return 1;
    help_print_synopsis(cmd, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    /* What this command does must not depend on the machine's openssl.cnf. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    t2c_tpm_quiet();
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves must not keep us from giving back what the TPM holds for us */
    t2c_log_open("tpm2cloud", T2C_LOG_INFO);
    if (argc < 2) {
        help_print(cmds, stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts(PACKAGE_STRING);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (strcmp(argv[1], "help") == 0)
        return help_answer(cmds, argc - 2, argv + 2);
    if (wants_help(argc, argv))
        return help_answer(cmds, argc - 1, argv + 1);
    int words = 0;
    const struct cmd *cmd = find(argc, argv, &words);
    return cmd != NULL ? run(cmd, argc - 1 - words, argv + 1 + words) : help_fail(cmds, argc - 1, argv + 1);
}
