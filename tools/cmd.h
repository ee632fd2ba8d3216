/*
 * What the verbs of the tpm2cloud command share. A verb is one function; main.c holds their table.
 */
#ifndef TPM2CLOUD_TOOLS_CMD_H
#define TPM2CLOUD_TOOLS_CMD_H

#include "tpm2cloud/bytes.h"
#include "tpm2cloud/name.h"

/*
 * Runs with the words behind the verb. A wrong command line fails with code INVALID and detail CMD_USAGE: main then prints the
 * synopsis and exits with 2; any other failure exits with 1, but for that of cmd_answer.
 */
typedef bool cmd_run(int argc, char **argv, struct t2c_error *err);

#define CMD_USAGE 0x75736167u

/* What was asked for is not there, and that is an answer. */
#define CMD_EXIT_NONE 3

/* Ends with EXIT_CODE and no message, since standard output has the answer. Returns false, or true for 0. */
bool cmd_answer(struct t2c_error *err, uint8_t exit_code);
/* Whether that was how it ended. */
bool cmd_is_answer(const struct t2c_error *err, uint8_t *exit_code);

struct cmd {
    const char *noun;
    const char *verb; /* NULL: the noun stands alone */
    const char *arguments;
    const char *what;
    cmd_run *run;
};

/*
 * One `--name VALUE` (or flag, when value is NULL). An option that may be repeated has &cmd_many as its flag, and value is an
 * array of CMD_MANY_MAX + 1, all NULL, which gets the values from its beginning.
 */
struct cmd_option {
    const char *name;
    const char **value;
    bool *flag;
};

#define CMD_MANY_MAX 32
extern bool cmd_many;

/*
 * Takes options anywhere among ARGV and exactly WORDS_N other words into WORDS.
 */
bool cmd_parse(int argc, char **argv, const struct cmd_option *options, size_t options_n, const char **words,
    size_t words_n, struct t2c_error *err);

bool cmd_fail_usage(struct t2c_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Checks a NAME of the command line. */
bool cmd_check_name(const char *name, struct t2c_error *err);

/* Reads the time that --OPTION gives in TEXT, from 1 s to MAX_S: seconds, or with a unit, as 45m, 12h or 30d. */
bool cmd_parse_period(const char *option, const char *text, int64_t max_s, int64_t *out_s, struct t2c_error *err);

/*
 * Opens the private key of NAME through the provider, in a library context of this command alone. AUTH: the source of its
 * authorization value, or NULL.
 */
bool cmd_load_key(const char *name, const char *auth, EVP_PKEY **out, struct t2c_error *err);

/* Writes TEXT to PATH (a file is replaced atomically, a device written to), or to stdout when PATH is NULL or "-". */
bool cmd_write(const char *path, const struct t2c_bytes *text, struct t2c_error *err);

/* Says which names are left out of LIST, and why. */
void cmd_warn_hidden(const struct t2c_name_list *list);

/* Gives back what cmd_load_key set up. */
void cmd_close(void);

cmd_run cmd_key_create, cmd_key_list, cmd_key_show, cmd_key_pem, cmd_key_pin, cmd_csr, cmd_cert_import, cmd_cert_export,
    cmd_cert_show, cmd_cert_verify, cmd_cert_selfsign, cmd_ca_init, cmd_ca_sign, cmd_aziot_migrate, cmd_aziot_rollback,
    cmd_aziot_clean, cmd_aziot_configure, cmd_provision, cmd_release, cmd_pkcs11_link, cmd_dps_register, cmd_dps_show,
    cmd_dps_token, cmd_sas_import, cmd_sas_token, cmd_sas_forget, cmd_jwt, cmd_key_delete, cmd_doctor, cmd_ek_show,
    cmd_ek_verify, cmd_status, cmd_renew, cmd_enroll, cmd_watch, cmd_reload;

#endif
