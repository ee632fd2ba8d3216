/*
 * What aziot_configure.c plans and aziot_plan.c shows and runs.
 */
#ifndef TPM2CLOUD_TOOLS_AZIOT_PLAN_H
#define TPM2CLOUD_TOOLS_AZIOT_PLAN_H

#include "aziot_configure.h"
#include "tpm2cloud/file.h"

#define AZIOT_TEXT_MAX (256 * 1024)

/* What becomes of a file. */
enum change {
    CHANGE_NONE, /* it says so already */
    CHANGE_NEW,
    CHANGE_MODE,   /* it says so, and may be read by too many */
    CHANGE_OWNER,  /* it says so, and is another's */
    CHANGE_KEPT,   /* it says something else, which may be */
    CHANGE_REFUSED /* it says something else */
};

struct planned {
    char *path;
    struct t2c_bytes old, new;
    struct t2c_file_owner owner;
    enum change change;
};

/* A certificate of estd that config.toml names. */
struct kept {
    const char *id;
    char *file; /* on the device */
    char *conf; /* by which estd keeps it; NULL: by none */
    bool there;
};

struct aziot_plan {
    char *root;
    struct planned files[4];
    size_t files_n; /* config.toml is the last: whoever is interrupted has not switched yet */
    struct kept certs[2];
    size_t certs_n;
};

#endif
