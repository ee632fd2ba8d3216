/*
 * The way to the TPM, its state, and whether the keys that lie here are its own.
 */
#include "doctor.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/identity.h"
#include "tpm2cloud/name.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEVICE "device:"
#define LINUX_MANAGER "/dev/tpmrm"
#define LINUX_RAW "/dev/tpm"

/* The device of a TCTI, by tpm2-tss's default when none is named; "" when it is another kind. */
static const char *path_of(const char *tcti)
{
    if (strcmp(tcti, "device") == 0)
        return LINUX_RAW "0";
    return strncmp(tcti, DEVICE, strlen(DEVICE)) == 0 ? tcti + strlen(DEVICE) : "";
}

/* ---- the device ---- */

/* Those who use the TPM here, beside whoever asks: estd, and aziot-keyd of IoT Edge. */
static const struct {
    const char *user, *unit;
} services[] = {{"tpm2cloud", "estd.service"}, {"aziotks", "aziot-keyd.service"}};

static const char *group_text(gid_t gid, char out[64])
{
    const struct group *group = getgrgid(gid);
    if (group != NULL)
        snprintf(out, 64, "%s", group->gr_name);
    else
        snprintf(out, 64, "%u", (unsigned)gid);
    return out;
}

/* Says whether one of the services may not use NODE. */
static bool tell_services(struct doctor *doctor, const char *path, const struct stat *node, const char *group)
{
    bool told = false;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        const struct passwd *user = getpwnam(services[i].user);
        char fix[200];
        if (user == NULL || t2c_file_allows(node, user, 06))
            continue;
        snprintf(fix, sizeof(fix), "usermod -aG %s %s; systemctl restart %s", group, user->pw_name, services[i].unit);
        checklist_bad(&doctor->list, "device", fix, "%s: the user %s may not use it (mode %04o, group %s)", path,
            user->pw_name, (unsigned)node->st_mode & 07777, group);
        told = true;
    }
    return told;
}

/* Gives false for a file that is none: whoever connects to it writes into it. */
static bool check_node(struct doctor *doctor, const char *path)
{
    struct stat node;
    char group[64], fix[200];
    if (stat(path, &node) != 0) {
        checklist_bad(&doctor->list, "device",
            "enable the TPM in the firmware (it may be called PTT, fTPM or security device), and see that the kernel "
            "has its driver: modprobe tpm_tis, tpm_crb or tpm_tis_spi",
            "%s: %s", path, strerror(errno));
        return true;
    }
    if (!S_ISCHR(node.st_mode)) {
        checklist_bad(&doctor->list, "device", "write tcti = device:/dev/tpmrm0 into /etc/tpm2cloud/tpm2cloud.conf",
            "%s is no device", path);
        return false;
    }
    group_text(node.st_gid, group);
    snprintf(fix, sizeof(fix), "as root: usermod -aG %s USER, then log in again", group);
    if (access(path, R_OK | W_OK) != 0)
        checklist_bad(&doctor->list, "device", fix, "%s: you may not use it (mode %04o, group %s)", path,
            (unsigned)node.st_mode & 07777, group);
    else if (!tell_services(doctor, path, &node, group))
        checklist_ok(&doctor->list, "device", "%s, mode %04o, group %s", path, (unsigned)node.st_mode & 07777, group);
    return true;
}

static bool check_device(struct doctor *doctor, const char *tcti)
{
    if (path_of(tcti)[0] != '\0')
        return check_node(doctor, path_of(tcti));
    checklist_unchecked(&doctor->list, "device", "the TPM is not reached by a device but by %s", tcti);
    return true;
}

/* ---- the connection ---- */

static void check_tcti(struct doctor *doctor)
{
    const struct t2c_tpm_info *tpm = &doctor->tpm;
    if (!t2c_tpm_info(&doctor->tpm, &doctor->no_tpm))
        checklist_bad(&doctor->list, "tcti",
            "say where the TPM is: $TPM2CLOUD_TCTI comes first, then tcti = in /etc/tpm2cloud/tpm2cloud.conf, then "
            "device:/dev/tpmrm0",
            "%s", doctor->no_tpm.text);
    else
        checklist_ok(&doctor->list, "tcti", "%s: %s, firmware %u.%u.%u.%u", tpm->tcti, tpm->manufacturer,
            tpm->firmware[0] >> 16, tpm->firmware[0] & 0xFFFF, tpm->firmware[1] >> 16, tpm->firmware[1] & 0xFFFF);
}

/* ---- who shares it ---- */

/* How many handles of a kind, from FIRST on, are there. */
static size_t count_loaded(uint32_t first)
{
    uint32_t handles[8];
    size_t n = 0;
    return t2c_identity_handles(first, handles, sizeof(handles) / sizeof(handles[0]), &n, NULL) ? n : 0;
}

/* What a program left behind takes a slot from all others, until somebody flushes it. */
static void check_raw(struct doctor *doctor, const char *tcti)
{
    size_t objects = doctor->no_tpm.code == T2C_OK ? count_loaded(0x80000000) : 0;
    size_t sessions = doctor->no_tpm.code == T2C_OK ? count_loaded(0x02000000) : 0;
    if (objects + sessions > 0)
        checklist_bad(&doctor->list, "resource manager", "tpm2_flushcontext -t; tpm2_flushcontext -l",
            "there is none, and other programs left %zu object(s) and %zu session(s) in the TPM, which has room for "
            "some three",
            objects, sessions);
    else
        checklist_unchecked(
            &doctor->list, "resource manager", "%s is no resource manager's as far as its name tells", tcti);
}

static void check_manager(struct doctor *doctor, const char *tcti)
{
    const char *path = path_of(tcti);
    if (strncmp(path, LINUX_MANAGER, strlen(LINUX_MANAGER)) == 0)
        checklist_ok(&doctor->list, "resource manager", "the kernel's, by %s", path);
    else if (strncmp(tcti, "tabrmd", strlen("tabrmd")) == 0)
        checklist_ok(&doctor->list, "resource manager", "tpm2-abrmd");
    else if (strncmp(path, LINUX_RAW, strlen(LINUX_RAW)) == 0)
        checklist_bad(&doctor->list, "resource manager",
            "write tcti = device:/dev/tpmrm0 into /etc/tpm2cloud/tpm2cloud.conf (and see to $TPM2CLOUD_TCTI)",
            "%s is the TPM itself, which one program at a time may use, and which no program tidies up behind another",
            path);
    else
        check_raw(doctor, tcti);
}

/* ---- lockout ---- */

static void check_lockout(struct doctor *doctor)
{
    const struct t2c_tpm_info *tpm = &doctor->tpm;
    if (doctor->no_tpm.code != T2C_OK)
        checklist_unchecked(&doctor->list, "lockout", "there is no TPM to ask");
    else if (tpm->in_lockout)
        checklist_bad(&doctor->list, "lockout",
            "tpm2_dictionarylockout --clear-lockout ends it at once; then find the program that sends a wrong "
            "authorization value",
            "the TPM is in dictionary-attack lockout (%u failures), and refuses keys that are not exempt",
            tpm->failures);
    else
        checklist_ok(
            &doctor->list, "lockout", "none: %u of %u failed authorizations", tpm->failures, tpm->failures_max);
}

/* ---- whose keys lie here ---- */

static const char *fix_of(const struct t2c_error *why)
{
    switch (why->code) {
    case T2C_AUTH:
        return "run this as root, or as a member of the group tpm2cloud";
    case T2C_INVALID:
        return "restore the file, or remove it and make the key again";
    case T2C_IO:
    case T2C_RETRY:
        return "try again";
    default:
        return "if this is a copy of another device's image, or the TPM was cleared: remove the file from the key "
               "directory and make the key again (tpm2cloud key create); for the future, take images before keys are "
               "made";
    }
}

static void tell_foreign(void *arg, const char *what, const struct t2c_error *why)
{
    struct doctor *doctor = arg;
    char check[CHECKLIST_CHECK_MAX];
    snprintf(check, sizeof(check), "key %.26s", what);
    checklist_bad(&doctor->list, check, fix_of(why), "%s", why->text);
}

static void check_keys(struct doctor *doctor)
{
    struct t2c_error why = {0};
    size_t n = 0, before = doctor->list.n;
    if (doctor->no_tpm.code != T2C_OK)
        checklist_unchecked(&doctor->list, "keys", "there is no TPM to ask");
    else if (!t2c_name_check_keys(tell_foreign, doctor, &n, &why)) {
        if (why.code == T2C_AUTH)
            checklist_unchecked(&doctor->list, "keys", "%s", why.text);
        else
            checklist_bad(&doctor->list, "keys", fix_of(&why), "%s", why.text);
    } else if (doctor->list.n == before)
        checklist_ok(&doctor->list, "keys", "%zu key file(s) and record(s), all of this TPM", n);
}

void doctor_tpm(struct doctor *doctor)
{
    char tcti[T2C_TCTI_MAX];
    struct t2c_error why = {0};
    if (!t2c_tpm_tcti(tcti, &why)) {
        checklist_bad(&doctor->list, "tcti", "mend the configuration", "%s", why.text);
        t2c_fail_with(&doctor->no_tpm, &why);
        return;
    }
    if (check_device(doctor, tcti))
        check_tcti(doctor);
    else
        t2c_fail(&doctor->no_tpm, T2C_INVALID, "there is no TPM at %s", tcti);
    check_manager(doctor, tcti);
    check_lockout(doctor);
    check_keys(doctor);
}
