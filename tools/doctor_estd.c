/*
 * What estd's certificates need outside of it, by its configuration as it stands on the disk: an EST server that takes a
 * connection (nothing is sent), and a directory of aziot-certd in which certd can go on writing.
 */
#include "doctor.h"

#include "aziot_place.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/ossl.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <openssl/http.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ESTD_USER "tpm2cloud"
#define CONNECT_MAX_MS 5000

/* One certificate's configuration, and what holds for all. */
struct wanted {
    const char *name;
    const struct estd_place *place;
    const CONF *own, *main;
};

static const char *value_of(const struct wanted *wanted, const char *section, const char *key)
{
    const char *own = t2c_conf_get(wanted->own, section, key);
    return own != NULL ? own : t2c_conf_get(wanted->main, "defaults", key);
}

static bool is_set(const char *value)
{
    return value != NULL && strcmp(value, "none") != 0;
}

/* ---- the server ---- */

/* Waits for a connection that was begun. Gives errno's number, 0 when it stands. */
static int finish_connect(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int errnum = 0, n = poll(&wait, 1, CONNECT_MAX_MS);
    socklen_t len = sizeof(errnum);
    if (n == 0)
        return ETIMEDOUT;
    return n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0 ? errno : errnum;
}

static int connect_to(const struct addrinfo *address)
{
    T2C_CLEANUP(t2c_closep)
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0)
        return errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    return errno == EINPROGRESS ? finish_connect(fd) : errno;
}

static void addresses_freep(struct addrinfo **addresses)
{
    if (*addresses != NULL)
        freeaddrinfo(*addresses);
}

static void check_host(struct doctor *doctor, const char *check, const char *host, const char *port, const char *what)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    T2C_CLEANUP(addresses_freep) struct addrinfo *addresses = NULL;
    int rc = getaddrinfo(host, port, &hints, &addresses), errnum = 0;
    if (rc != 0) {
        checklist_bad(&doctor->list, check,
            "see to the device's DNS (getent hosts NAME), or correct the name in estd's configuration", "%s %s: %s",
            what, host, gai_strerror(rc));
        return;
    }
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        errnum = connect_to(at);
        if (errnum == 0) {
            checklist_ok(&doctor->list, check, "%s %s:%s takes connections", what, host, port);
            return;
        }
    }
    checklist_bad(&doctor->list, check,
        "see whether the server runs and the network lets the device through (a firewall, a proxy that must be named: "
        "proxy = http://HOST:PORT)",
        "%s %s:%s: %s", what, host, port, strerror(errnum));
}

static void check_server(struct doctor *doctor, const struct wanted *wanted)
{
    const char *url = value_of(wanted, "certificate", "url"), *proxy = value_of(wanted, "certificate", "proxy");
    const char *tried = is_set(proxy) ? proxy : url;
    T2C_CLEANUP(t2c_openssl_freep) char *host = NULL;
    T2C_CLEANUP(t2c_openssl_freep) char *port = NULL;
    char check[CHECKLIST_CHECK_MAX];
    struct t2c_error why = {0};
    snprintf(check, sizeof(check), "EST for %.22s", wanted->name);
    if (url == NULL)
        checklist_bad(
            &doctor->list, check, "write url = https://HOST/.well-known/est", "there is no url in its configuration");
    else if (OSSL_HTTP_parse_url(tried, NULL, NULL, &host, &port, NULL, NULL, NULL, NULL) != 1) {
        t2c_fail_openssl(&why, T2C_INVALID, "%s is no URL", tried);
        checklist_bad(&doctor->list, check, "correct it; estd --check-config names the line", "%s", why.text);
    } else
        check_host(doctor, check, host, port, is_set(proxy) ? "the proxy" : "the server");
}

/* ---- certd's directory ---- */

static const char *user_text(uid_t uid, char out[64])
{
    const struct passwd *user = getpwuid(uid);
    if (user != NULL)
        snprintf(out, 64, "%s", user->pw_name);
    else
        snprintf(out, 64, "%u", (unsigned)uid);
    return out;
}

/* Says that PATH is not the user's whose HOME it is in. */
static bool tell_owner(struct doctor *doctor, const char *path, uid_t uid, uid_t wanted)
{
    char is[64], should[64], fix[PATH_MAX + 512];
    if (uid == wanted)
        return false;
    user_text(uid, is);
    user_text(wanted, should);
    snprintf(fix, sizeof(fix), "chown %s: %s", should, path);
    checklist_bad(&doctor->list, "certd", fix, "%s belongs to %s and not to %s, so that aziot-certd cannot write it",
        path, is, should);
    return true;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool tell_files(struct doctor *doctor, const char *dir, uid_t wanted)
{
    struct dirent **found = NULL;
    int n = scandir(dir, &found, is_visible, alphasort);
    bool told = false;
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX + 256];
        struct stat file;
        snprintf(path, sizeof(path), "%s/%s", dir, found[i]->d_name);
        told = (!told && lstat(path, &file) == 0 && tell_owner(doctor, path, file.st_uid, wanted)) || told;
        free(found[i]);
    }
    free(found);
    return told;
}

/* estd is no root: it needs root's help where it may not write. */
static bool tell_deploy(struct doctor *doctor, const struct wanted *wanted, const char *home, const struct stat *found)
{
    const struct passwd *user = getpwnam(ESTD_USER);
    const char *deploy = t2c_conf_get(wanted->own, "install", "deploy");
    if (user == NULL || user->pw_uid == found->st_uid || (deploy != NULL && strcmp(deploy, "yes") == 0))
        return false;
    checklist_bad(&doctor->list, "certd",
        "write deploy = yes into its [install], and have tpm2cloud-deploy.path enabled",
        "%s: estd runs as %s, who may not write to %s", wanted->name, user->pw_name, home);
    return true;
}

static bool tell_home(struct doctor *doctor, const char *home, const struct stat *found)
{
    const struct passwd *user = getpwnam(AZIOT_CERTD_USER);
    char fix[PATH_MAX + 128];
    if (user != NULL && tell_owner(doctor, home, found->st_uid, user->pw_uid))
        return true;
    if ((found->st_mode & 022) == 0)
        return false;
    snprintf(fix, sizeof(fix), "chmod 0700 %s", home);
    checklist_bad(&doctor->list, "certd", fix,
        "%s can be written by others (mode %04o), who thereby decide what IoT Edge presents", home,
        (unsigned)found->st_mode & 07777);
    return true;
}

static void check_home(struct doctor *doctor, const struct wanted *wanted, const char *home)
{
    char certs[PATH_MAX];
    struct stat found, below;
    snprintf(certs, sizeof(certs), "%s/certs", home);
    if (stat(home, &found) != 0) {
        checklist_bad(&doctor->list, "certd",
            "install aziot-edge, or correct certd = (or aziot_certd_dir =) in estd's configuration", "%s: %s", home,
            strerror(errno));
        return;
    }
    if (tell_home(doctor, home, &found) || tell_deploy(doctor, wanted, home, &found))
        return;
    if (access(home, R_OK | X_OK) != 0) {
        checklist_unchecked(&doctor->list, "certd", "what is in %s is seen by root alone; run this as root", home);
        return;
    }
    if (stat(certs, &below) == 0 &&
        (tell_owner(doctor, certs, below.st_uid, found.st_uid) || tell_files(doctor, certs, found.st_uid)))
        return;
    checklist_ok(&doctor->list, "certd", "%s and what is in it is %s's", home, user_text(found.st_uid, (char[64]){0}));
}

/* Gives the directory of certd that a certificate goes to; NULL: to none. */
static const char *home_of(const struct wanted *wanted)
{
    const char *own = t2c_conf_get(wanted->own, "install", "certd");
    if (own == NULL && t2c_conf_get(wanted->own, "install", "cert_id") == NULL)
        return NULL;
    return own != NULL ? own : wanted->place->certd_dir;
}

/* ---- all of them ---- */

/* Says whether it goes to certd. */
static bool check_one(struct doctor *doctor, const struct estd_place *place, const CONF *main, const char *file)
{
    T2C_CLEANUP(t2c_conf_freep) CONF *own = NULL;
    char path[PATH_MAX], name[256];
    struct t2c_error why = {0};
    snprintf(path, sizeof(path), "%s/%s", place->certs_d, file);
    snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(ESTD_CONF_END)), file);
    if (!t2c_conf_load(path, NULL, 0, &own, &why)) {
        checklist_bad(&doctor->list, "estd", DOCTOR_FIX_CONF, "%s", why.text);
        return false;
    }
    const struct wanted wanted = {name, place, own, main};
    check_server(doctor, &wanted);
    const char *home = home_of(&wanted);
    if (home != NULL)
        check_home(doctor, &wanted, home);
    return home != NULL;
}

static void check_all(struct doctor *doctor, const struct estd_place *place, const CONF *main)
{
    struct dirent **found = NULL;
    int n = scandir(place->certs_d, &found, estd_is_conf, alphasort);
    bool certd = false;
    if (n < 0) {
        checklist_bad(&doctor->list, "estd", "make the directory, or correct certs_d = in estd's configuration",
            "%s: %s", place->certs_d, strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        certd = check_one(doctor, place, main, found[i]->d_name) || certd;
        free(found[i]);
    }
    free(found);
    if (n == 0)
        checklist_unchecked(&doctor->list, "EST", "%s holds no certificate for estd", place->certs_d);
    if (!certd)
        checklist_unchecked(&doctor->list, "certd", "no certificate of estd goes to aziot-certd");
}

void doctor_estd(struct doctor *doctor, const struct estd_place *place)
{
    T2C_CLEANUP(t2c_conf_freep) CONF *main = NULL;
    struct t2c_error why = {0};
    if (!place->configured)
        checklist_unchecked(&doctor->list, "estd", "it is not configured here: there is no %s", place->conf);
    else if (!t2c_conf_load(place->conf, NULL, 0, &main, &why))
        checklist_bad(&doctor->list, "estd", DOCTOR_FIX_CONF, "%s", why.text);
    else
        check_all(doctor, place, main);
}
