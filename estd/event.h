/*
 * The one way to say that something happened: it goes to the log, with fields where that is the journal, to the state and
 * to those who watch.
 */
#ifndef ESTD_EVENT_H
#define ESTD_EVENT_H

#include "persist.h"
#include "tpm2cloud/message.h"

enum event_type {
    EVENT_STARTED,
    EVENT_STOPPING,
    EVENT_RELOADED,
    EVENT_CONFIG_REFUSED, /* the old one stays */
    EVENT_REQUESTED,      /* somebody asks for something by the socket */
    EVENT_CLOCK,          /* it is not set, so nothing is done */
    EVENT_FOUND,          /* an installed certificate */
    EVENT_ENROLLED,
    EVENT_RENEWED,
    EVENT_FAILED,
    EVENT_HINT,           /* the server would like another time for a renewal */
    EVENT_PENDING,        /* accepted by the server and not issued yet */
    EVENT_STEPPED_DOWN,   /* the installed certificate is refused, so [auth] goes on */
    EVENT_EXPIRED,        /* the installed certificate is over */
    EVENT_BARRED,         /* every identity that may ask is refused */
    EVENT_DEPLOY_PENDING, /* installed as far as estd may; the rest is root's */
    EVENT_DEPLOYED,
    EVENT_DPS_REGISTERED, /* the new certificate, at Azure's DPS */
    EVENT_DPS_FAILED,     /* it is not yet */
    EVENT_TRUST_CHANGED,
    EVENT_WARNING
};

/* Whom to tell. */
struct events {
    struct persist *persist;
    void (*watch)(void *data, const struct t2c_event *event); /* NULL: nobody watches */
    void *data;
};

/*
 * Tells in words of FORMAT, behind the name of the certificate that it is ABOUT (NULL: estd itself). WHY: the failure, if
 * it is one. The statistics of ABOUT follow by themselves; what else the caller changed in it is written down, too.
 */
void event_tell(struct events *events, enum event_type type, struct t2c_state_entry *about, const struct t2c_error *why,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
