/*
 * Where Azure IoT Edge has its files on this machine, and what its configuration says of keys and certificates.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_PLACE_H
#define TPM2CLOUD_TOOLS_AZIOT_PLACE_H

#include "tpm2cloud/aziot_config.h"
#include "tpm2cloud/own.h"
#include "tpm2cloud/uri.h"

/* The two files that make aziot-keyd load our library. */
#define AZIOT_KEYD_DROPIN "/etc/aziot/keyd/config.d/50-tpm2cloud.toml"
#define AZIOT_UNIT_DROPIN "/etc/systemd/system/aziot-keyd.service.d/50-tpm2cloud.conf"

#define AZIOT_CONFIG "/etc/aziot/config.toml"
#define AZIOT_CONFIG_BACKUP \
    ".before-tpm2cloud" /* behind a file's name: what it said; behind that perhaps ".2" and so on */
/* Certificates that certd shows EST servers, as configure copies them. */
#define AZIOT_IDENTITY_CERT "/etc/aziot/est-id.pem"
#define AZIOT_BOOTSTRAP_CERT "/etc/aziot/est-bootstrap-id.pem"
#define AZIOT_CERTD_USER "aziotcs" /* whom aziot-certd runs as */

#define AZIOT_PRELOADED_KEYS "preloaded_keys" /* the table of keyd's configuration */

enum aziot_service { AZIOT_KEYD, AZIOT_CERTD, AZIOT_IDENTITYD, AZIOT_EDGED, AZIOT_SERVICES };

/* An id that somebody may use, and the stem of its files. */
struct aziot_name {
    char *id, *stem;
};

struct aziot_place {
    char *root; /* in front of every path; "" for this machine's own */
    struct t2c_aziot_values config[AZIOT_SERVICES];
    char *home, *keys_dir; /* keyd's */
    char *certs_dir;
    struct aziot_name *names;
    size_t names_n;
};
void aziot_place_fini(struct aziot_place *place);

/* Gives *out, the directory --root names, as it stands in front of every path: "" for / and for none (NULL). */
bool aziot_root(const char *root, char **out, struct t2c_error *err);

/* Reads the configuration below ROOT (NULL: of this machine). What of it cannot be read is told on stderr. */
bool aziot_place_read(const char *root, struct aziot_place *out, struct t2c_error *err);

/* Gives the id whose files have STEM, or NULL: those that IoT Edge always has, and any that its configuration names. */
const char *aziot_place_id(const struct aziot_place *place, const char *stem);

/*
 * Says whether TEXT, a value of [preloaded_keys], names a key of ours, which the stock library does not find. Gives *out: the
 * key; all zero when TEXT is wrong.
 */
bool aziot_is_ours(const char *text, struct t2c_uri *out);

/* Fails when keyd has no home, or this process may not look into it. */
bool aziot_place_check_home(const struct aziot_place *place, struct t2c_error *err);

/* Fails when aziot-keyd runs, as far as this process can see. */
bool aziot_place_check_stopped(const struct aziot_place *place, struct t2c_error *err);

/* Keeps others who do this from keyd's home until *fd is closed. Errors: EXISTS when one is at it. */
bool aziot_place_lock(const struct aziot_place *place, int *fd, struct t2c_error *err);

#endif
