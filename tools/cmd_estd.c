/*
 * tpm2cloud renew | enroll | watch | reload: what a running estd is asked for. renew and enroll watch until they know how it
 * went.
 */
#include "cmd.h"

#include "estd.h"
#include "json.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- what became of it ---- */

/* Says whether EVENT is how a step ended. */
static bool is_outcome(const struct t2c_event *event, bool *good)
{
    static const struct {
        const char *type;
        bool good;
    } outcomes[] = {{"renewed", true}, {"enrolled", true}, {"failed", false}, {"pending", false}};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (strcmp(event->type, outcomes[i].type) == 0) {
            *good = outcomes[i].good;
            return true;
        }
    return false;
}

struct wait {
    const char *name;
    bool over, good;
    struct t2c_event outcome;
};

/* Takes notice of an event, which may come before the request is answered. */
static void on_event(void *data, const struct t2c_reply *reply)
{
    struct wait *wait = data;
    const struct t2c_event *event = &reply->as.event;
    if (reply->kind != T2C_TELL_EVENT || wait->over || strcmp(event->name, wait->name) != 0)
        return;
    wait->over = is_outcome(event, &wait->good);
    if (wait->over)
        wait->outcome = *event;
    else
        fprintf(stderr, "%s: %s\n", event->name, event->text);
}

static bool wait_for_outcome(struct estd *estd, struct wait *wait, struct t2c_error *err)
{
    struct t2c_reply reply;
    while (!wait->over) {
        if (!estd_next(estd, true, &reply, err))
            return t2c_fail_context(err, "%s: what became of it is not known", wait->name);
        on_event(wait, &reply);
    }
    if (!wait->good)
        return t2c_fail(err, T2C_IO, "%s: %s", wait->name, wait->outcome.text);
    printf("%s: %s\n", wait->name, wait->outcome.text);
    return true;
}

static bool ask_and_wait(struct estd *estd, const struct t2c_request *request, struct t2c_error *err)
{
    static const struct t2c_request watch = {.kind = T2C_ASK_WATCH};
    struct wait wait = {.name = request->name};
    struct t2c_done done;
    return estd_request(estd, &watch, NULL, NULL, &done, err) &&
        estd_request(estd, request, on_event, &wait, &done, err) && wait_for_outcome(estd, &wait, err);
}

/* ---- renew, enroll ---- */

static bool set_name(struct t2c_request *request, const char *name, struct t2c_error *err)
{
    if (name[0] == '\0' || strlen(name) > T2C_STATE_NAME_MAX || !t2c_text_is_clean(name, strlen(name)))
        return t2c_fail(err, T2C_INVALID, "\"%.80s\" is not the name of a certificate", name);
    strcpy(request->name, name);
    return true;
}

bool cmd_renew(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *conf = NULL;
    struct t2c_request request = {.kind = T2C_ASK_RENEW};
    const struct cmd_option options[] = {{"now", NULL, &request.now}, {"config", &conf, NULL}};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    return cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err) &&
        set_name(&request, name, err) && estd_find(conf, &place, err) && estd_open(&place, &estd, err) &&
        ask_and_wait(estd, &request, err);
}

/* Becomes estd, which takes the lock on its state; one that is in the PATH comes before the installed one. */
static bool run_estd(const struct estd_place *place, const char *name, struct t2c_error *err)
{
    static char program[] = "estd", config[] = "--config", enroll[] = "--enroll";
    char *const argv[] = {program, config, place->conf, enroll, (char *)name, NULL};
    execvp(program, argv);
    if (errno == ENOENT)
        execv(SBINDIR "/estd", argv);
    return t2c_fail_errno(err, errno, "no estd is running, and none can be started");
}

bool cmd_enroll(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *conf = NULL;
    struct t2c_request request = {.kind = T2C_ASK_ENROLL};
    const struct cmd_option options[] = {{"config", &conf, NULL}};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    struct t2c_error why = {0};
    if (!cmd_parse(argc, argv, options, 1, &name, 1, err) || !set_name(&request, name, err) ||
        !estd_find(conf, &place, err))
        return false;
    if (estd_open(&place, &estd, &why))
        return ask_and_wait(estd, &request, err);
    return why.code == T2C_NOT_FOUND ? run_estd(&place, name, err) : t2c_fail_with(err, &why);
}

/* ---- watch, reload ---- */

static void print_event(const struct t2c_event *event, bool json)
{
    char at[T2C_CIVIL_TEXT_MAX];
    if (json) {
        putchar('{');
        json_members(t2c_event_fields, T2C_EVENT_FIELDS_N, event);
        puts("}");
        return;
    }
    if (event->lost > 0)
        printf("(%" PRIu64 " event(s) were too many for this reader)\n", event->lost);
    printf("%s %s%s%s%s\n", t2c_civil_text(event->at_s, at), event->alert ? "ALERT: " : "", event->name,
        event->name[0] != '\0' ? ": " : "", event->text);
}

bool cmd_watch(int argc, char **argv, struct t2c_error *err)
{
    static const struct t2c_request request = {.kind = T2C_ASK_WATCH};
    const char *conf = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"json", NULL, &json}, {"config", &conf, NULL}};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    struct t2c_done done;
    if (!cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), NULL, 0, err) ||
        !estd_find(conf, &place, err) || !estd_open(&place, &estd, err) ||
        !estd_request(estd, &request, NULL, NULL, &done, err))
        return false;
    for (struct t2c_reply reply; estd_next(estd, true, &reply, err);) {
        if (reply.kind == T2C_TELL_EVENT)
            print_event(&reply.as.event, json);
        if (fflush(stdout) != 0)
            return t2c_fail(err, T2C_IO, "cannot write to standard output");
    }
    return false;
}

bool cmd_reload(int argc, char **argv, struct t2c_error *err)
{
    static const struct t2c_request request = {.kind = T2C_ASK_RELOAD};
    const char *conf = NULL;
    const struct cmd_option options[] = {{"config", &conf, NULL}};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    struct t2c_done done;
    return cmd_parse(argc, argv, options, 1, NULL, 0, err) && estd_find(conf, &place, err) &&
        estd_open(&place, &estd, err) && estd_request(estd, &request, NULL, NULL, &done, err);
}
