/*
 * Up to four files: config.toml, which is ours alone or refused; two drop-ins, which an operator may have changed and keeps; and
 * a certificate that certd renews where it lies. config.toml comes last: whoever is interrupted has not switched yet.
 */
#include "aziot_configure.h"

#include "aziot_mask.h"
#include "aziot_renewer.h"
#include "diff.h"
#include "tpm2cloud/aziot.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/generation.h"
#include "tpm2cloud/name.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG "/etc/aziot/config.toml"
#define BACKUP ".before-tpm2cloud"
#define BACKUPS_MAX 100
#define IDENTITY_CERT "/etc/aziot/est-id.pem"
#define BOOTSTRAP_CERT "/etc/aziot/est-bootstrap-id.pem"
#define CERTD_USER "aziotcs"
#define TEXT_MAX (256 * 1024)
#define DIR_MODE 0755

static const struct {
    const char *from, *to;
} dropins[] = {
    {PKGDATADIR "/aziot/50-tpm2cloud.toml", "/etc/aziot/keyd/config.d/50-tpm2cloud.toml"},
    {PKGDATADIR "/aziot/50-tpm2cloud.conf", "/etc/systemd/system/aziot-keyd.service.d/50-tpm2cloud.conf"},
};

/* What becomes of a file. */
enum change {
    CHANGE_NONE, /* it says so already */
    CHANGE_NEW,
    CHANGE_MODE,   /* it says so, and may be read by too many */
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
    size_t files_n; /* config.toml is the last */
    struct kept certs[2];
    size_t certs_n;
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
    if (!t2c_file_read(file->path, TEXT_MAX, &file->old, err))
        return false;
    bool same = file->old.len == file->new.len &&memcmp(file->old.data, file->new.data, file->new.len) == 0;
    bool open = stat(file->path, &found) == 0 && (found.st_mode & 0777 & ~file->owner.mode) != 0;
    file->change = !same ? differs : open ? CHANGE_MODE : CHANGE_NONE;
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
            !t2c_file_read(access(from, F_OK) == 0 ? from : dropins[i].from, TEXT_MAX, &file->new, err))
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
    struct t2c_uri uri = {0};
    snprintf(uri.name, sizeof(uri.name), "%s", name);
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
    const struct passwd *user = certds && geteuid() == 0 ? getpwnam(CERTD_USER) : NULL;
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
    const char *copy = bootstrap ? BOOTSTRAP_CERT : IDENTITY_CERT;
    struct t2c_name_files files = {0};
    if (settings->form != AZIOT_EST_MTLS)
        return true;
    if (!t2c_name_locate(name, &files, err))
        return false;
    bool live = bootstrap && access(files.cert, R_OK) == 0;
    *out = strdup(live ? files.cert : copy);
    return *out != NULL ? live || add_copy(plan, name, &files, copy, !bootstrap, err) : t2c_fail_nomem(err);
}

/* ---- what estd keeps ---- */

/* A pair that estd switches by a link is read by that link; else certd's own file of ID. */
static bool find_kept(
    const struct aziot_place *place, const char *id, const char *name, char **out, struct t2c_error *err)
{
    static const char link[] = "/" T2C_GENERATION_LINK "/" T2C_GENERATION_CERT;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0};
    struct t2c_name_files files = {0};
    if (!t2c_name_locate(name, &files, err))
        return false;
    char *end = files.generation ? strrchr(files.cert, '/') : NULL;
    if (end != NULL) {
        *end = '\0';
        end = strrchr(files.cert, '/');
    }
    if (end != NULL)
        *end = '\0';
    bool ok = end != NULL ? t2c_bytes_printf(&path, err, "%s%s", files.cert, link)
                          : t2c_aziot_path(place->certs_dir + strlen(place->root), id, T2C_AZIOT_CERT_END, &path, err);
    if (ok)
        *out = (char *)T2C_STEAL(path.data);
    return ok;
}

static bool add_kept(
    struct aziot_plan *plan, const struct aziot_place *place, const char *id, const char *name, struct t2c_error *err)
{
    struct kept *kept = &plan->certs[plan->certs_n];
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (name == NULL)
        return true;
    kept->id = id;
    plan->certs_n++;
    if (!find_kept(place, id, name, &kept->file, err))
        return false;
    const struct aziot_renewed cert = {id, kept->file, name};
    if (!aziot_check_untouched(place, &cert, err) || !aziot_kept_by_estd(place, &cert, &kept->conf, err))
        return false;
    if (asprintf(&path, "%s%s", place->root, kept->file) < 0)
        return t2c_fail_nomem(err);
    kept->there = access(path, F_OK) == 0;
    return true;
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
        const struct aziot_renewed cert = {ids[i], (const char *)path.data, NULL};
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
    const struct passwd *user = getpwnam(CERTD_USER);
    return (found->st_mode & S_IROTH) != 0 ||
        (user != NULL && found->st_uid == user->pw_uid && (found->st_mode & S_IRUSR) != 0);
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
                CERTD_USER, path, path);
    }
    return true;
}

static bool add_config(struct aziot_plan *plan, const struct aziot_settings *settings, const struct aziot_paths *paths,
    struct t2c_error *err)
{
    struct planned *file = NULL;
    return add_file(plan, CONFIG, settings->password != NULL ? 0600 : 0644, &file, err) &&
        aziot_settings_toml(settings, paths, &file->new, err) && compare(file, CHANGE_REFUSED, err);
}

static bool fill(struct aziot_plan *plan, const struct aziot_place *place, const struct aziot_settings *settings,
    struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *identity = NULL;
    bool estd = settings->form == AZIOT_DPS;
    if (!check_trust(place, settings->trust, err) || !check_certds(place, settings, err) ||
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

bool aziot_plan_is_done(const struct aziot_plan *plan)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change != CHANGE_NONE && plan->files[i].change != CHANGE_KEPT)
            return false;
    return true;
}

bool aziot_plan_is_refused(const struct aziot_plan *plan)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change == CHANGE_REFUSED)
            return true;
    return false;
}

/* ---- showing it ---- */

bool aziot_plan_show(const struct aziot_plan *plan, struct t2c_bytes *out, struct t2c_error *err)
{
    return aziot_mask((const char *)plan->files[plan->files_n - 1].new.data, out, err);
}

static bool show_diff(const struct planned *file, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes old = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes new = {0};
    T2C_CLEANUP(t2c_freep) char *name = NULL;
    size_t before = out->len;
    if (asprintf(&name, "%s (as configured)", file->path) < 0)
        return t2c_fail_nomem(err);
    if (!aziot_mask((const char *)file->old.data, &old, err) || !aziot_mask((const char *)file->new.data, &new, err))
        return false;
    const struct diff_side from = {file->path, (const char *)old.data}, to = {name, (const char *)new.data};
    return diff_unified(&from, &to, out, err) &&
        (out->len > before || t2c_bytes_printf(out, err, "%s: only in what is secret\n", file->path));
}

bool aziot_plan_diff(const struct aziot_plan *plan, struct t2c_bytes *out, struct t2c_error *err)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (plan->files[i].change == CHANGE_REFUSED && !show_diff(&plan->files[i], out, err))
            return false;
    return true;
}

static bool report_file(
    const struct planned *file, const char *fate, const char *text, struct aziot_report *report, struct t2c_error *err)
{
    const char *base = strrchr(file->path, '/') + 1;
    return aziot_report_add(report, "file", base, file->path, fate, err, "%s: %s", file->path, text);
}

static bool report_kept(const struct aziot_plan *plan, struct aziot_report *report, struct t2c_error *err)
{
    for (size_t i = 0; i < plan->certs_n; i++) {
        const struct kept *cert = &plan->certs[i];
        bool ok = cert->conf == NULL ? aziot_report_add(report, "certificate", cert->id, cert->file, "unkept", err,
                                           "nobody renews it: estd has no certificate with cert_id = %s", cert->id)
            : cert->there            ? aziot_report_add(report, "certificate", cert->id, cert->file, "keep", err,
                                           "estd renews it by %s", cert->conf)
                                     : aziot_report_add(report, "certificate", cert->id, cert->file, "missing", err,
                                           "estd has not installed it yet: look at tpm2cloud status, then apply");
        if (!ok)
            return false;
    }
    return true;
}

/* By enum change; with force another word for what is refused without. */
static bool report_change(const struct planned *file, bool force, struct aziot_report *report, struct t2c_error *err)
{
    switch (file->change) {
    case CHANGE_NONE:
        return report_file(file, "same", "it says so already", report, err);
    case CHANGE_NEW:
        return report_file(file, "write", "is not there yet", report, err);
    case CHANGE_MODE:
        return report_file(file, "write", "may be read by others than its owner", report, err);
    case CHANGE_KEPT:
        return report_file(file, "kept", "what it says was changed since, and stays", report, err);
    case CHANGE_REFUSED:
        break;
    }
    return force ? report_file(file, "replace", "says something else, which is kept beside it", report, err)
                 : report_file(file, "differs", "says something else", report, err);
}

bool aziot_plan_report(const struct aziot_plan *plan, bool force, struct aziot_report *report, struct t2c_error *err)
{
    for (size_t i = 0; i < plan->files_n; i++)
        if (!report_change(&plan->files[i], force, report, err))
            return false;
    return report_kept(plan, report, err);
}

/* ---- running it ---- */

/* Keeps what is there beside it, under a number if there is another already; once, however often this is begun. */
static bool back_up(const struct planned *file, struct t2c_bytes *path, struct t2c_error *err)
{
    struct t2c_file_owner owner = file->owner;
    owner.mode = 0600;
    for (int n = 1; n <= BACKUPS_MAX; n++) {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes found = {0};
        t2c_bytes_clear(path);
        if (!t2c_bytes_printf(path, err, "%s" BACKUP, file->path) || (n > 1 && !t2c_bytes_printf(path, err, ".%d", n)))
            return false;
        const char *to = (const char *)path->data;
        if (t2c_file_is_missing(to))
            return t2c_file_create(to, file->old.data, file->old.len, &owner, err);
        if (!t2c_file_read(to, TEXT_MAX, &found, err))
            return false;
        if (found.len == file->old.len && memcmp(found.data, file->old.data, found.len) == 0)
            return true;
    }
    return t2c_fail(err, T2C_EXISTS, "there are %d copies of %s already: remove some", BACKUPS_MAX, file->path);
}

static bool make_dir_of(const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));
    return dir != NULL ? t2c_file_mkdirs(dir, DIR_MODE, err) : t2c_fail_nomem(err);
}

static bool run_file(const struct planned *file, struct aziot_report *report, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes backup = {0};
    bool replaced = file->change == CHANGE_REFUSED;
    if (file->change == CHANGE_NONE || file->change == CHANGE_KEPT)
        return report_change(file, false, report, err);
    if ((replaced && !back_up(file, &backup, err)) || !make_dir_of(file->path, err) ||
        !t2c_file_replace(file->path, file->new.data, file->new.len, &file->owner, err))
        return false;
    return replaced ? aziot_report_add(report, "file", strrchr(file->path, '/') + 1, file->path, "replaced", err,
                          "%s: what it said is in %s", file->path, (const char *)backup.data)
                    : report_file(file, "written", "done", report, err);
}

bool aziot_plan_run(const struct aziot_plan *plan, bool force, struct aziot_report *report, struct t2c_error *err)
{
    if (aziot_plan_is_refused(plan) && !force)
        return t2c_fail(err, T2C_EXISTS,
            "%s says something else, and nothing was written; --force replaces it and keeps what it says beside it",
            plan->files[plan->files_n - 1].path);
    for (size_t i = 0; i < plan->files_n; i++)
        if (!run_file(&plan->files[i], report, err))
            return false;
    return report_kept(plan, report, err);
}
