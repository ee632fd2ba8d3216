/*
 * Up to four files: two drop-ins, which an operator may have changed and keeps; a certificate that certd renews where it lies;
 * and config.toml, which is as we would write it, or refused.
 */
#include "aziot_plan.h"

#include "aziot_renewer.h"
#include "tpm2cloud/aziot.h"
#include "tpm2cloud/generation.h"
#include "tpm2cloud/name.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *from, *to;
} dropins[] = {
    {PKGDATADIR "/aziot/50-tpm2cloud.toml", AZIOT_KEYD_DROPIN},
    {PKGDATADIR "/aziot/50-tpm2cloud.conf", AZIOT_UNIT_DROPIN},
};

void aziot_plan_free(struct aziot_plan *plan)
{
    for (size_t i = 0; plan != NULL && i < plan->files_n; i++) {
        free(plan->files[i].path);
        t2c_bytes_fini(&plan->files[i].old);
        t2c_bytes_fini(&plan->files[i].new);
    }
    for (size_t i = 0; plan != NULL && i < plan->certs_n; i++) {
        free(plan->certs[i].file);
        free(plan->certs[i].conf);
    }
    if (plan != NULL)
        free(plan->root);
    free(plan);
}

/* ---- files ---- */

/* Adds the file PATH of the device, without what it shall say. Gives: *out, the plan's. */
static bool add_file(
    struct aziot_plan *plan, const char *path, mode_t mode, struct planned **out, struct t2c_error *err)
{
    struct planned *file = &plan->files[plan->files_n];
    if (asprintf(&file->path, "%s%s", plan->root, path) < 0)
        return t2c_fail_nomem(err);
    plan->files_n++;
    file->owner = (struct t2c_file_owner){mode, (uid_t)-1, (gid_t)-1};
    if (geteuid() == 0)
        file->owner.uid = file->owner.gid = 0;
    *out = file;
    return true;
}

/* Reads what is there. DIFFERS: what it means when that is something else. */
static bool compare(struct planned *file, enum change differs, struct t2c_error *err)
{
    struct stat found;
    if (t2c_file_is_missing(file->path)) {
        file->change = CHANGE_NEW;
        return true;
    }
    if (!t2c_file_read(file->path, AZIOT_TEXT_MAX, &file->old, err))
        return false;
    bool same = file->old.len == file->new.len &&memcmp(file->old.data, file->new.data, file->new.len) == 0;
    if (stat(file->path, &found) != 0)
        return t2c_fail_errno(err, errno, "cannot look at %s", file->path);
    bool open = (found.st_mode & 0777 & ~file->owner.mode) != 0;
    bool owned = file->owner.uid == (uid_t)-1 || file->owner.uid == found.st_uid;
    file->change = !same ? differs : open ? CHANGE_MODE : owned ? CHANGE_NONE : CHANGE_OWNER;
    return true;
}

static bool add_dropins(struct aziot_plan *plan, struct t2c_error *err)
{
    for (size_t i = 0; i < sizeof(dropins) / sizeof(dropins[0]); i++) {
        T2C_CLEANUP(t2c_freep) char *from = NULL;
        struct planned *file = NULL;
        if (asprintf(&from, "%s%s", plan->root, dropins[i].from) < 0)
            return t2c_fail_nomem(err);
        if (!add_file(plan, dropins[i].to, 0644, &file, err) ||
            !t2c_file_read(access(from, F_OK) == 0 ? from : dropins[i].from, AZIOT_TEXT_MAX, &file->new, err))
            return false;
        if (!compare(file, CHANGE_KEPT, err))
            return false;
    }
    return true;
}

/* ---- the certificate that certd shows the EST server ---- */

static bool read_name(
    const char *name, const struct t2c_name_files *files, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    const struct t2c_uri uri = t2c_uri_of(name);
    return t2c_name_read_certs(&uri, files, &chain, err) && t2c_cert_append_pem(chain, out, err);
}

/* Says whether both certify the same key: certd renewed it. */
static bool is_same_key(const struct planned *file)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *old = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *new = NULL;
    return t2c_cert_parse(file->old.data, file->old.len, &old, NULL) &&
        t2c_cert_parse(file->new.data, file->new.len, &new, NULL) &&
        t2c_cert_fits_key(sk_X509_value(old, 0), X509_get0_pubkey(sk_X509_value(new, 0)));
}

/* certd renews where it reads, and has to own that file. */
static bool add_copy(struct aziot_plan *plan, const char *name, const struct t2c_name_files *files, const char *path,
    bool certds, struct t2c_error *err)
{
    const struct passwd *user = certds && geteuid() == 0 ? getpwnam(AZIOT_CERTD_USER) : NULL;
    struct planned *file = NULL;
    if (!add_file(plan, path, 0644, &file, err) || !read_name(name, files, &file->new, err))
        return false;
    if (user != NULL) {
        file->owner.uid = user->pw_uid;
        file->owner.gid = user->pw_gid;
    }
    if (!compare(file, CHANGE_REFUSED, err))
        return false;
    if (file->change == CHANGE_REFUSED && is_same_key(file))
        file->change = CHANGE_KEPT;
    return true;
}

/* Gives the path by which certd reads it: a bootstrap certificate that is a file is read where it is. */
static bool add_identity(
    struct aziot_plan *plan, const struct aziot_settings *settings, char **out, struct t2c_error *err)
{
    bool bootstrap = settings->bootstrap != NULL;
    const char *name = bootstrap ? settings->bootstrap : settings->name;
    const char *copy = bootstrap ? AZIOT_BOOTSTRAP_CERT : AZIOT_IDENTITY_CERT;
    struct t2c_name_files files = {0};
    if (settings->form != AZIOT_EST_MTLS)
        return true;
    if (!t2c_name_locate(name, &files, err))
        return false;
    bool live = bootstrap && access(files.cert, R_OK) == 0;
    *out = strdup(live ? files.cert : copy);
    return *out != NULL ? live || settings->early || add_copy(plan, name, &files, copy, !bootstrap, err)
                        : t2c_fail_nomem(err);
}

/* ---- what estd keeps ---- */

/* Gives *linked: whether estd switches NAME's key and certificate by a link, by which they are read; else certd's own file of ID. */
static bool find_kept(
    const struct aziot_place *place, const char *id, const char *name, bool *linked, char **out, struct t2c_error *err)
{
    static const char link[] = "/" T2C_GENERATION_LINK "/" T2C_GENERATION_CERT;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    struct t2c_name_files files = {0};
    if (!t2c_name_locate(name, &files, err))
        return false;
    char *name_end = NULL; /* files.cert: CERTS_DIR/NAME/gen-N/cert.pem */
    for (int i = 0; i < 2 && files.generation && (name_end = strrchr(files.cert, '/')) != NULL; i++)
        *name_end = '\0';
    *linked = name_end != NULL;
    if (!(*linked ? t2c_bytes_printf(&path, err, "%s%s", files.cert, link)
                  : t2c_aziot_path(place->certs_dir + strlen(place->root), id, T2C_AZIOT_CERT_END, &path, err)))
        return false;
    *out = (char *)T2C_STEAL(path.data);
    return true;
}

/* ROOT: "" for what is not below it. */
static bool is_there(const char *root, const char *file, bool *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    if (!t2c_bytes_printf(&path, err, "%s%s", root, file))
        return false;
    *out = access((const char *)path.data, F_OK) == 0;
    return true;
}

static bool add_kept(
    struct aziot_plan *plan, const struct aziot_place *place, const char *id, const char *name, struct t2c_error *err)
{
    struct kept *kept = &plan->certs[plan->certs_n];
    struct aziot_renewed cert = {.id = id, .name = name};
    if (name == NULL)
        return true;
    kept->id = id;
    plan->certs_n++;
    if (!find_kept(place, id, name, &cert.linked, &kept->file, err))
        return false;
    cert.file = kept->file;
    return aziot_check_untouched(place, &cert, err) && aziot_kept_by_estd(place, &cert, &kept->conf, err) &&
        is_there(cert.linked ? "" : place->root, kept->file, &kept->there, err);
}

/* What certd is to renew, estd must not. */
static bool check_certds(const struct aziot_place *place, const struct aziot_settings *settings, struct t2c_error *err)
{
    static const char *const ids[] = {"device-id", "aziot-edged-ca"};
    const bool certds[] = {settings->form != AZIOT_DPS, settings->est_edge_ca != NULL};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
        if (!t2c_aziot_path(place->certs_dir + strlen(place->root), ids[i], T2C_AZIOT_CERT_END, &path, err))
            return false;
        const struct aziot_renewed cert = {.id = ids[i], .file = (const char *)path.data};
        if (certds[i] && !aziot_check_free(place, &cert, err))
            return false;
    }
    return true;
}

/* ---- the plan ---- */

static bool check_installed(const struct aziot_place *place, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (asprintf(&path, "%s/etc/aziot", place->root) < 0)
        return t2c_fail_nomem(err);
    return access(path, F_OK) == 0 ||
        t2c_fail(err, T2C_NOT_FOUND, "there is no %s: install IoT Edge (aziot-edge) first, or look at --root", path);
}

/* Says whether certd may read what STAT found, directories aside. */
static bool is_certds(const struct stat *found)
{
    const struct passwd *user = getpwnam(AZIOT_CERTD_USER);
    return user != NULL ? t2c_file_allows(found, user, 04) : (found->st_mode & S_IROTH) != 0;
}

static bool check_trust(const struct aziot_place *place, const char *trust, struct t2c_error *err)
{
    for (const char *at = trust; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL) {
        T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *found = NULL;
        T2C_CLEANUP(t2c_freep) char *path = NULL;
        struct stat file;
        if (asprintf(&path, "%s%.*s", place->root, (int)strcspn(at, ","), at) < 0)
            return t2c_fail_nomem(err);
        if (!t2c_cert_read_file(path, &found, err))
            return t2c_fail_context(err, "--trust");
        if (stat(path, &file) == 0 && !is_certds(&file))
            return t2c_fail(err, T2C_AUTH, "--trust: aziot-certd, which runs as %s, may not read %s: chmod o+r %s",
                AZIOT_CERTD_USER, path, path);
    }
    return true;
}

static bool add_config(struct aziot_plan *plan, const struct aziot_settings *settings, const struct aziot_paths *paths,
    struct t2c_error *err)
{
    struct planned *file = NULL;
    return add_file(plan, AZIOT_CONFIG, settings->password != NULL ? 0600 : 0644, &file, err) &&
        aziot_settings_toml(settings, paths, &file->new, err) && compare(file, CHANGE_REFUSED, err);
}

static bool fill(struct aziot_plan *plan, const struct aziot_place *place, const struct aziot_settings *settings,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *identity = NULL;
    bool estd = settings->form == AZIOT_DPS;
    if (!check_trust(place, settings->trust, err) || (!settings->freed && !check_certds(place, settings, err)) ||
        !add_kept(plan, place, "device-id", estd ? settings->name : NULL, err) ||
        !add_kept(plan, place, "aziot-edged-ca", settings->edge_ca, err) || !add_dropins(plan, err) ||
        !add_identity(plan, settings, &identity, err))
        return false;
    const struct aziot_paths paths = {.device = estd ? plan->certs[0].file : NULL,
        .edge_ca = settings->edge_ca != NULL ? plan->certs[plan->certs_n - 1].file : NULL,
        .identity = identity};
    return add_config(plan, settings, &paths, err);
}

bool aziot_plan_make(
    const char *root, const struct aziot_settings *settings, struct aziot_plan **out, struct t2c_error *err)
{
    T2C_CLEANUP(aziot_place_fini) struct aziot_place place = {0};
    T2C_CLEANUP(aziot_plan_freep) struct aziot_plan *plan = NULL;
    if (!aziot_settings_check(settings, err) || !aziot_place_read(root, &place, err) || !check_installed(&place, err))
        return false;
    plan = calloc(1, sizeof(*plan));
    if (plan == NULL || (plan->root = strdup(place.root)) == NULL)
        return t2c_fail_nomem(err);
    if (!fill(plan, &place, settings, err))
        return false;
    *out = T2C_STEAL(plan);
    return true;
}
