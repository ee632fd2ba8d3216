/*
 * Nothing may make a key, or use one, while they go. Units are named by patterns, which match those that there are; what runs
 * without systemd is found by its lock, or by its name.
 */
#include "release.h"

#include "tpm2cloud/run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#define STOP_MAX_S 180

#define UNITS "estd.servic[e]", "tpm2cloud-deploy.*", "aziot-*"
#define UNITS_TEXT "estd, tpm2cloud-deploy, IoT Edge"

static bool run_systemctl(const char *systemctl, const char *verb, const char *option, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *program = NULL;
    const char *const argv[] = {systemctl, verb, option, "--", UNITS, NULL};
    char *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    return t2c_run_check(systemctl, &program, err) &&
        t2c_run_program((char *const *)(uintptr_t)argv, envp, STOP_MAX_S, err);
}

/* Without systemd nothing is stopped: whoever runs is found by the checks behind. */
static bool stop_units(struct release *release, struct t2c_error *err)
{
    const char *systemctl = release->settings.systemctl;
    struct t2c_error why = {0};
    bool active = run_systemctl(systemctl, "is-active", "--quiet", NULL);
    if (!release->dry_run && !run_systemctl(systemctl, "stop", "--quiet", &why) && why.code != T2C_NOT_FOUND &&
        access("/run/systemd/system", F_OK) == 0)
        return t2c_fail_with(err, &why) || t2c_fail_context(err, "cannot stop " UNITS_TEXT);
    return !active ||
        aziot_report_add(&release->report, "unit", UNITS_TEXT, systemctl, release->dry_run ? "stop" : "stopped", err,
            "units that were running");
}

/* Keeps estd from being started meanwhile, too. */
static bool lock_estd(struct release *release, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    if (asprintf(&path, "%s/lock", release->estd.state_dir) < 0)
        return t2c_fail_nomem(err);
    T2C_CLEANUP(t2c_closep) int lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0)
        return errno == ENOENT || errno == ENOTDIR || t2c_fail_errno(err, errno, "cannot open %s", path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
            ? t2c_fail(err, T2C_EXISTS, "estd runs, and would enrol anew: stop it, then try again (it holds %s)", path)
            : t2c_fail_errno(err, errno, "cannot lock %s", path);
    release->lock = lock;
    lock = -1;
    return true;
}

bool release_stop(struct release *release, struct t2c_error *err)
{
    return stop_units(release, err) &&
        (release->dry_run || (lock_estd(release, err) && aziot_place_check_stopped(&release->aziot, err)));
}
