/*
 * Runs a command under those restrictions of a systemd unit that need no systemd: its system call filter, address families, no
 * memory that is writable and executable, no capabilities, no new privileges. All of it is read from the unit.
 *
 *     sandbox [--kill] UNIT COMMAND...
 *
 * --kill: a system call that is refused ends the process, so that nothing can make do without it. The names in a set such as
 * @system-service are those that `systemd-analyze syscall-filter` prints. Spec: systemd.exec(5).
 */
#include "tpm2cloud/file.h"
#include "tpm2cloud/own.h"
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define NAMES_MAX 1024

struct filter {
    char names[NAMES_MAX][48];
    size_t n;
    bool families[AF_MAX], has_families;
    bool no_exec; /* no memory that is writable and executable */
    uint32_t refusal;
};

static void die(const char *what, const char *about)
{
    fprintf(stderr, "sandbox: %s%s%s\n", what, about != NULL ? ": " : "", about != NULL ? about : "");
    exit(125);
}

/* ---- the set of names ---- */

static size_t find(const struct filter *filter, const char *name)
{
    size_t i = 0;
    while (i < filter->n && strcmp(filter->names[i], name) != 0)
        i++;
    return i;
}

static void set_name(struct filter *filter, const char *name, bool allowed)
{
    size_t i = find(filter, name);
    if (!allowed && i < filter->n)
        memmove(filter->names[i], filter->names[--filter->n], sizeof(filter->names[0]));
    if (!allowed || i < filter->n)
        return;
    if (filter->n == NAMES_MAX || strlen(name) >= sizeof(filter->names[0]))
        die("too many system calls, or too long a name", name);
    strcpy(filter->names[filter->n++], name);
}

static void set_names(struct filter *filter, const char *name, bool allowed, int depth);

static void set_set(struct filter *filter, const char *name, bool allowed, int depth)
{
    char command[128], line[256], word[64];
    size_t members = 0;
    if (depth > 8 || name[1 + strspn(name + 1, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
        die("no name of a set", name);
    snprintf(command, sizeof(command), "systemd-analyze --no-pager syscall-filter %s", name);
    FILE *listing = popen(command, "r");
    while (listing != NULL && fgets(line, sizeof(line), listing) != NULL)
        if (line[0] == ' ' && sscanf(line, "%63s", word) == 1 && word[0] != '#') {
            set_names(filter, word, allowed, depth + 1);
            members++;
        }
    if (listing == NULL || pclose(listing) != 0 || members == 0)
        die("systemd-analyze does not tell what is in", name);
}

static void set_names(struct filter *filter, const char *name, bool allowed, int depth)
{
    if (name[0] == '@')
        set_set(filter, name, allowed, depth);
    else
        set_name(filter, name, allowed);
}

/* ---- the unit ---- */

static void set_family(struct filter *filter, const char *name)
{
    static const struct {
        const char *name;
        int family;
    } known[] = {{"AF_UNIX", AF_UNIX}, {"AF_INET", AF_INET}, {"AF_INET6", AF_INET6}, {"AF_NETLINK", AF_NETLINK}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i].name) == 0) {
            filter->families[known[i].family] = filter->has_families = true;
            return;
        }
    die("an address family that this program does not know", name);
}

/* One KEY=VALUE. */
static void take(struct filter *filter, const char *key, char *value)
{
    bool calls = strcmp(key, "SystemCallFilter") == 0, families = strcmp(key, "RestrictAddressFamilies") == 0;
    bool allowed = value[0] != '~';
    if (strcmp(key, "MemoryDenyWriteExecute") == 0)
        filter->no_exec = strcmp(value, "yes") == 0;
    if (strcmp(key, "SystemCallErrorNumber") == 0 && strcmp(value, "EPERM") != 0)
        die("this program knows no other error than EPERM", value);
    if (calls && allowed && filter->n == 0)
        set_names(filter, "@default", true, 0); /* which systemd always allows */
    if (calls && filter->n == 0)
        die("a filter that begins with what it forbids is not known here", value);
    value += calls && !allowed;
    for (char *word; (calls || families) && (word = strsep(&value, " ")) != NULL;) {
        if (word[0] != '\0' && calls)
            set_names(filter, word, allowed, 0);
        else if (word[0] != '\0')
            set_family(filter, word);
    }
}

static void read_unit(const char *path, struct filter *filter)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct t2c_error why = {0};
    if (!t2c_file_read(path, 65536, &text, &why))
        die(why.text, NULL);
    char *rest = (char *)text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *equals = strchr(line, '=');
        if (equals == NULL || line[0] == '#')
            continue;
        *equals = '\0';
        take(filter, line, equals + 1);
    }
    if (filter->n == 0 || !filter->has_families || !filter->no_exec)
        die("the unit restricts too little for this test", path);
}

/* ---- putting it in force ---- */

static void allow(scmp_filter_ctx ctx, const struct filter *filter)
{
    for (size_t i = 0; i < filter->n; i++) {
        int number = seccomp_syscall_resolve_name(filter->names[i]);
        /* Calls of other architectures, and such as are newer than the library. */
        if (number != __NR_SCMP_ERROR && number != SCMP_SYS(socket) && number != SCMP_SYS(mmap) &&
            number != SCMP_SYS(mprotect))
            seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
    }
}

/* A family that is not allowed is one that the kernel does not know, as systemd has it, --kill or not. */
static void filter_sockets(scmp_filter_ctx ctx, const struct filter *filter)
{
    if (find(filter, "socket") == filter->n)
        die("the unit allows no sockets", NULL);
    for (int family = 0; family < AF_MAX; family++)
        if (seccomp_rule_add(ctx, filter->families[family] ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EAFNOSUPPORT),
                SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family)) != 0)
            die("cannot filter socket", NULL);
}

/* mmap without PROT_WRITE or without PROT_EXEC; mprotect without PROT_EXEC. */
static void allow_memory(scmp_filter_ctx ctx)
{
    const scmp_datum_t both = PROT_WRITE | PROT_EXEC;
    static const scmp_datum_t kept[] = {0, PROT_WRITE, PROT_EXEC};
    int bad = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        bad |= seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, both, kept[i]));
    if (bad != 0)
        die("cannot filter mmap", NULL);
}

static void drop_capabilities(void)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
            die("cannot drop a capability", strerror(errno));
}

static void enforce(const struct filter *filter)
{
    scmp_filter_ctx ctx = seccomp_init(filter->refusal);
    if (ctx == NULL)
        die("libseccomp does not start", NULL);
    allow(ctx, filter);
    filter_sockets(ctx, filter);
    allow_memory(ctx);
    drop_capabilities();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || seccomp_load(ctx) != 0)
        die("the kernel does not take the filter", strerror(errno));
    seccomp_release(ctx);
}

int main(int argc, char **argv)
{
    static struct filter filter = {.refusal = SCMP_ACT_ERRNO(EPERM)};
    int at = 1;
    if (at < argc && strcmp(argv[at], "--kill") == 0) {
        filter.refusal = SCMP_ACT_KILL_PROCESS;
        at++;
    }
    if (argc - at < 2)
        die("usage: sandbox [--kill] UNIT COMMAND...", NULL);
    read_unit(argv[at], &filter);
    enforce(&filter);
    execvp(argv[at + 1], argv + at + 1);
    die("cannot run the command", strerror(errno));
}
