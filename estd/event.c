/*
 * A row for each type: the word for it, how urgent it is, and what it means for the statistics.
 */
#include "event.h"

#include "tpm2cloud/log.h"
#include "tpm2cloud/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *word;
    enum t2c_level level;
} types[] = {
    [EVENT_STARTED] = {"started", T2C_LOG_NOTICE},
    [EVENT_STOPPING] = {"stopping", T2C_LOG_NOTICE},
    [EVENT_RELOADED] = {"reloaded", T2C_LOG_NOTICE},
    [EVENT_CONFIG_REFUSED] = {"config-refused", T2C_LOG_ERROR},
    [EVENT_REQUESTED] = {"requested", T2C_LOG_NOTICE},
    [EVENT_CLOCK] = {"clock", T2C_LOG_WARNING},
    [EVENT_FOUND] = {"found", T2C_LOG_NOTICE},
    [EVENT_ENROLLED] = {"enrolled", T2C_LOG_NOTICE},
    [EVENT_RENEWED] = {"renewed", T2C_LOG_NOTICE},
    [EVENT_FAILED] = {"failed", T2C_LOG_WARNING},
    [EVENT_HINT] = {"hint", T2C_LOG_NOTICE},
    [EVENT_PENDING] = {"pending", T2C_LOG_NOTICE},
    [EVENT_STEPPED_DOWN] = {"stepped-down", T2C_LOG_ALERT},
    [EVENT_EXPIRED] = {"expired", T2C_LOG_WARNING},
    [EVENT_BARRED] = {"barred", T2C_LOG_ALERT},
    [EVENT_DEPLOY_PENDING] = {"deploy-pending", T2C_LOG_NOTICE},
    [EVENT_DEPLOYED] = {"deployed", T2C_LOG_NOTICE},
    [EVENT_DPS_REGISTERED] = {"dps-registered", T2C_LOG_NOTICE},
    [EVENT_DPS_FAILED] = {"dps-failed", T2C_LOG_WARNING},
    [EVENT_TRUST_CHANGED] = {"trust-changed", T2C_LOG_WARNING},
    [EVENT_WARNING] = {"warning", T2C_LOG_WARNING},
};

static void count(struct t2c_state_entry *entry, enum event_type type, const struct t2c_error *why, int64_t now_s)
{
    switch (type) {
    case EVENT_ENROLLED:
    case EVENT_RENEWED:
        t2c_state_succeeded(entry, type == EVENT_RENEWED, now_s);
        break;
    case EVENT_FAILED:
        t2c_state_failed(entry, why, now_s);
        break;
    case EVENT_DEPLOY_PENDING:
    case EVENT_DEPLOYED:
        entry->deploy_pending = type == EVENT_DEPLOY_PENDING;
        break;
    default:
        break;
    }
}

static void describe(
    struct t2c_event *event, enum event_type type, const struct t2c_state_entry *about, const struct t2c_error *why)
{
    *event = (struct t2c_event){.alert = types[type].level == T2C_LOG_ALERT, .at_s = loop_now_s()};
    strcpy(event->type, types[type].word);
    if (why != NULL)
        t2c_text_copy(event->code, sizeof(event->code), t2c_code_name(why->code));
    if (about == NULL)
        return;
    strcpy(event->name, about->name);
    event->next_s = about->next_s;
    event->not_after_s = about->not_after_s;
}

static void write_log(enum t2c_level level, const struct t2c_event *event)
{
    const struct t2c_log_field fields[] = {
        {"T2C_EVENT", event->type}, {"T2C_CERTIFICATE", event->name}, {"T2C_CODE", event->code}};
    size_t fields_n = event->name[0] == '\0' ? 1 : event->code[0] == '\0' ? 2 : 3;
    t2c_log_fields(level, fields, fields_n, "%s%s%s", event->name, event->name[0] != '\0' ? ": " : "", event->text);
}

void event_tell(struct events *events, enum event_type type, struct t2c_state_entry *about, const struct t2c_error *why,
    const char *format, ...)
{
    struct t2c_event event;
    char text[sizeof(event.text)];
    va_list args;
    describe(&event, type, about, why);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    t2c_text_copy(event.text, sizeof(event.text), text);
    write_log(types[type].level, &event);
    if (about != NULL) {
        count(about, type, why, event.at_s);
        persist_changed(events->persist);
    }
    if (events->watch != NULL)
        events->watch(events->data, &event);
}
