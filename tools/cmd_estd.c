/*
 * tpm2cloud renew | watch | reload: what a running estd is asked for. renew watches until it knows how it went.
 */
#include "cmd.h"

#include "estd_wait.h"
#include "json.h"
#include "tpm2cloud/civil.h"
#include "tpm2cloud/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- events ---- */

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

/* ---- renew ---- */

static bool set_name(struct t2c_request *request, const char *name, struct t2c_error *err)
{
    if (name[0] == '\0' || strlen(name) > T2C_STATE_NAME_MAX || !t2c_text_is_clean(name, strlen(name)))
        return t2c_fail(err, T2C_INVALID, "\"%.80s\" is not the name of a certificate", name);
    strcpy(request->name, name);
    return true;
}

static bool ask_and_wait(struct estd *estd, const struct t2c_request *request, bool json, struct t2c_error *err)
{
    struct estd_wait wait = {.name = request->name};
    struct t2c_done done;
    if (!estd_watch(estd, err) || !estd_request(estd, request, estd_wait_notice, &wait, &done, err) ||
        !estd_wait_end(estd, &wait, err))
        return false;
    if (json)
        print_event(&wait.outcome, true);
    else
        printf("%s: %s\n", wait.name, wait.outcome.text);
    return true;
}

bool cmd_renew(int argc, char **argv, struct t2c_error *err)
{
    const char *name = NULL, *conf = NULL;
    bool json = false;
    struct t2c_request request = {.kind = T2C_ASK_RENEW};
    const struct cmd_option options[] = {{"now", NULL, &request.now}, {"config", &conf, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    return cmd_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), &name, 1, err) &&
        set_name(&request, name, err) && estd_find(conf, &place, err) && estd_open(&place, &estd, err) &&
        ask_and_wait(estd, &request, json, err);
}

/* ---- watch, reload ---- */

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
    bool json = false;
    const struct cmd_option options[] = {{"config", &conf, NULL}, {"json", NULL, &json}};
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    T2C_CLEANUP(estd_closep) struct estd *estd = NULL;
    struct t2c_done done;
    if (!cmd_parse(argc, argv, options, 2, NULL, 0, err) || !estd_find(conf, &place, err) ||
        !estd_open(&place, &estd, err) || !estd_request(estd, &request, NULL, NULL, &done, err))
        return false;
    if (json)
        puts("{\"reloaded\": true}");
    return true;
}
