/*
 * An interruption anywhere leaves the request without a result, and the next run does all of it once more: files that are
 * replaced by the same, and one more restart. There is no lock, since estd could hold it: of two that work at the same time, one
 * may clear away what the other is writing, which fails then and is asked for again.
 */
#include "deploy.h"

#include "spool.h"
#include "tidy.h"
#include "tpm2cloud/dir.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* A chain, or a bundle of CAs, of more certificates is a mistake or worse. */
#define CERTS_MAX 32

/* systemctl waits until the units are up. */
#define RESTART_MAX_S 180
#define COMMAND_MAX_S 60

/* ---- the configuration is root's ---- */

/* Checks the file PATH, which was read already: who could have changed it then still could. */
static bool check_file(const char *path, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *dir_path = strdup(path);
    T2C_CLEANUP(t2c_closep) int dir = -1;
    struct stat found;
    bool ours = false;
    if (dir_path == NULL)
        return t2c_fail_nomem(err);
    char *slash = strrchr(dir_path, '/');
    if (slash == NULL)
        return t2c_fail(err, T2C_INVALID, "%s is no absolute path", path);
    *slash = '\0';
    if (!t2c_dir_open(slash == dir_path ? "/" : dir_path, &dir, &ours, err))
        return false;
    if (fstatat(dir, slash + 1, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return t2c_fail_errno(err, errno, "cannot look at %s", path);
    return (ours && S_ISREG(found.st_mode) && t2c_dir_is_ours(&found)) ||
        t2c_fail(err, T2C_INVALID,
            "%s is no configuration to act on: others than root may change it; see to the owners and modes of the file "
            "and all directories above it, and to links",
            path);
}

bool deploy_check_config(const char *path, const struct config *config, struct t2c_error *err)
{
    if (!check_file(path, err))
        return false;
    for (size_t i = 0; i < config_certs_n(config); i++)
        if (!check_file(config_cert(config, i)->path, err))
            return false;
    return true;
}

/* ---- what estd asks for ---- */

/* Parses PEM and writes down again what was understood, so that nothing else gets through. */
static bool sift(const struct t2c_bytes *pem, STACK_OF(X509) **certs, struct t2c_bytes *out, struct t2c_error *err)
{
    if (!t2c_cert_parse_pem(pem->data, pem->len, certs, err))
        return false;
    if (sk_X509_num(*certs) > CERTS_MAX)
        return t2c_fail(err, T2C_INVALID, "%d certificates are too many", sk_X509_num(*certs));
    return t2c_cert_append_pem(*certs, out, err);
}

/* Each certificate of a chain issued the one before it. */
static bool check_order(const STACK_OF(X509) *chain, struct t2c_error *err)
{
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (X509_check_issued(sk_X509_value(chain, i), sk_X509_value(chain, i - 1)) != X509_V_OK)
            return t2c_fail(err, T2C_INVALID, "certificate %d did not issue the one before it", i + 1);
    return true;
}

static bool check_cas(const STACK_OF(X509) *cas, struct t2c_error *err)
{
    for (int i = 0; i < sk_X509_num(cas); i++)
        if (X509_check_ca(sk_X509_value(cas, i)) == 0)
            return t2c_fail(err, T2C_INVALID, "certificate %d of those of CAs is that of no CA", i + 1);
    return true;
}

static bool read_request(const struct spool_request *request, struct install_content *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *chain = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *cas = NULL;
    T2C_CLEANUP(t2c_x509s_freep) STACK_OF(X509) *leaf = sk_X509_new_null();
    if (leaf == NULL)
        return t2c_fail_nomem(err);
    if (!sift(&request->chain, &chain, &out->parts[INSTALL_CHAIN], err) || !check_order(chain, err))
        return false;
    if (X509_add_cert(leaf, sk_X509_value(chain, 0), X509_ADD_FLAG_UP_REF) != 1)
        return t2c_fail_nomem(err);
    return t2c_cert_append_pem(leaf, &out->parts[INSTALL_LEAF], err) &&
        (request->ca.len == 0 || (sift(&request->ca, &cas, &out->parts[INSTALL_CA], err) && check_cas(cas, err)));
}

/* Says whether a target wants a part that did not come. */
static bool lacks_part(const struct config_cert *cert, const struct install_content *content)
{
    for (size_t i = 0; i < cert->targets_n; i++)
        if (content->parts[cert->targets[i].part].len == 0)
            return true;
    return false;
}

/* ---- doing it ---- */

/* Runs PROGRAM with the FIRST_N arguments FIRST and then MORE. */
static bool run(const struct config_cert *cert, const char *program, const char *const *first, size_t first_n,
    const struct t2c_run_words *more, int limit_s, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *real = NULL;
    T2C_CLEANUP(t2c_freep) char *name = NULL;
    T2C_CLEANUP(t2c_freep) char **argv = calloc(first_n + more->n + 2, sizeof(*argv));
    if (argv == NULL || asprintf(&name, "TPM2CLOUD_CERTIFICATE=%s", cert->name) < 0)
        return t2c_fail_nomem(err);
    char *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", name, NULL};
    if (!t2c_run_check(program, &real, err))
        return false;
    argv[0] = real;
    for (size_t i = 0; i < first_n; i++)
        argv[1 + i] = (char *)(uintptr_t)first[i]; /* they are not written to */
    for (size_t i = 0; i < more->n; i++)
        argv[1 + first_n + i] = more->words[i];
    return t2c_run_program(argv, envp, limit_s, err);
}

static bool restart(const struct config_cert *cert, const char *systemctl, struct t2c_error *err)
{
    static const char *const first[] = {"restart", "--"};
    T2C_CLEANUP(t2c_run_words_fini) struct t2c_run_words units = {0};
    if (cert->restart == NULL)
        return true;
    return (t2c_run_split(cert->restart, &units, err) && run(cert, systemctl, first, 2, &units, RESTART_MAX_S, err)) ||
        t2c_fail_context(err, "cannot restart %s", cert->restart);
}

static bool call(const struct config_cert *cert, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_run_words_fini) struct t2c_run_words words = {0};
    if (cert->command == NULL)
        return true;
    if (!t2c_run_split(cert->command, &words, err))
        return false;
    const struct t2c_run_words more = {.words = words.words + 1, .n = words.n - 1};
    return run(cert, words.words[0], NULL, 0, &more, COMMAND_MAX_S, err) || t2c_fail_context(err, "command");
}

/* Removes what an interruption left beside the targets. */
static void tidy(const struct config_cert *cert)
{
    const char *paths[CONFIG_TARGETS_MAX];
    for (size_t i = 0; i < cert->targets_n; i++)
        paths[i] = cert->targets[i].path;
    tidy_files(paths, cert->targets_n);
}

static bool act(
    const struct config_cert *cert, const char *systemctl, const struct install_content *content, struct t2c_error *err)
{
    tidy(cert);
    return install_write(cert->targets, cert->targets_n, content, err) && restart(cert, systemctl, err) &&
        call(cert, err);
}

/* Gives: false when there is nothing to be done. */
static bool needs_work(const struct spool_dirs *dirs, const struct config_cert *cert, const char *hash,
    const struct install_content *content)
{
    struct spool_result before;
    spool_answered(dirs, cert->name, &before);
    return !before.done || strcmp(before.sha256, hash) != 0 ||
        !install_is_written(cert->targets, cert->targets_n, content);
}

/* Answers for CERT what came of it. */
static bool answer(const struct spool_dirs *dirs, const struct config_cert *cert, const char *hash,
    const struct t2c_error *why, struct t2c_error *err)
{
    struct spool_result result = {.done = why == NULL};
    strcpy(result.sha256, hash);
    if (why != NULL)
        snprintf(result.text, sizeof(result.text), "%.*s", SPOOL_TEXT_MAX - 1, why->text);
    if (why == NULL)
        t2c_log(T2C_LOG_NOTICE, "%s: installed", cert->name);
    return spool_answer(dirs, cert->name, &result, err);
}

static bool deploy(
    const struct spool_dirs *dirs, const struct config_cert *cert, const char *systemctl, struct t2c_error *err)
{
    T2C_CLEANUP(spool_request_fini) struct spool_request request = {0};
    T2C_CLEANUP(install_content_fini) struct install_content content = {0};
    struct t2c_error why = {0}, second = {0};
    char hash[65];
    if (!spool_take(dirs, cert->name, &request, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    if (!spool_hash(&request, hash, err))
        return false;
    bool read_ok = read_request(&request, &content, &why);
    if (read_ok && lacks_part(cert, &content))
        read_ok =
            t2c_fail(&why, T2C_INVALID, "the CA certificates are missing; estd reads another [install] than root");
    if (read_ok && !needs_work(dirs, cert, hash, &content))
        return true;
    if (read_ok && act(cert, systemctl, &content, &why))
        return answer(dirs, cert, hash, NULL, err);
    if (!answer(dirs, cert, hash, &why, &second))
        t2c_log(T2C_LOG_ERROR, "%s: %s", cert->name, second.text);
    return t2c_fail_with(err, &why);
}

bool deploy_all(const struct config *config, const char *systemctl, size_t *failed, struct t2c_error *err)
{
    T2C_CLEANUP(spool_dirs_fini) struct spool_dirs dirs = {-1, -1, -1, 0};
    struct t2c_error why = {0};
    *failed = 0;
    if (!spool_open(config_state_dir(config), &dirs, &why))
        return why.code == T2C_NOT_FOUND || t2c_fail_with(err, &why);
    spool_hear(&dirs);
    tidy_all(dirs.results);
    for (size_t i = 0; i < config_certs_n(config); i++) {
        const struct config_cert *cert = config_cert(config, i);
        if (!cert->deploy || deploy(&dirs, cert, systemctl, &why))
            continue;
        t2c_log(T2C_LOG_ERROR, "%s: %s", cert->name, why.text);
        ++*failed;
    }
    return true;
}
