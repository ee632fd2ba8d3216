/*
 * A step ends with a certificate, with a failure, or with a server that issues later.
 */
#include "estd_wait.h"

#include <stdio.h>
#include <string.h>

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

bool estd_watch(struct estd *estd, struct t2c_error *err)
{
    static const struct t2c_request watch = {.kind = T2C_ASK_WATCH};
    struct t2c_done done;
    return estd_request(estd, &watch, NULL, NULL, &done, err);
}

void estd_wait_notice(void *data, const struct t2c_reply *reply)
{
    struct estd_wait *wait = data;
    const struct t2c_event *event = &reply->as.event;
    if (reply->kind != T2C_TELL_EVENT || wait->over || strcmp(event->name, wait->name) != 0)
        return;
    wait->moved = true;
    wait->over = is_outcome(event, &wait->good);
    if (wait->over)
        wait->outcome = *event;
    else
        fprintf(stderr, "%s: %s\n", event->name, event->text);
}

bool estd_wait_move(struct estd *estd, struct estd_wait *wait, struct t2c_error *err)
{
    struct t2c_reply reply;
    while (!wait->moved) {
        if (!estd_next(estd, true, &reply, err))
            return t2c_fail_context(err, "%s: what became of it is not known", wait->name);
        estd_wait_notice(wait, &reply);
    }
    wait->moved = false;
    return true;
}

bool estd_wait_end(struct estd *estd, struct estd_wait *wait, struct t2c_error *err)
{
    while (!wait->over)
        if (!estd_wait_move(estd, wait, err))
            return false;
    return wait->good || t2c_fail(err, T2C_IO, "%s: %s", wait->name, wait->outcome.text);
}
