/*
 * The life of one certificate as a state machine. Pure: (state, event, now) -> action; who calls does what the action
 * says and feeds its outcome back as the next event.
 */
#ifndef ESTD_RENEW_H
#define ESTD_RENEW_H

#include "schedule.h"
#include "tpm2cloud/error.h"

enum renew_state {
    RENEW_LOOKING, /* finding out what is installed and whether it fits the key */
    RENEW_WAITING, /* for the renewal point, the next try or a clock that is set */
    RENEW_ASKING,  /* a transfer runs */
    RENEW_PLACING  /* a new certificate is in hand and not installed yet */
};

enum renew_event_type {
    RENEW_EV_LOADED,    /* life, fraction: a certificate that fits the key is installed */
    RENEW_EV_MISSING,   /* there is none */
    RENEW_EV_WAKE,      /* the time of the last RENEW_DO_WAIT came, or the clock was set; too early does no harm */
    RENEW_EV_NOW,       /* a human asks for the next step at once */
    RENEW_EV_RECEIVED,  /* life, fraction: the transfer brought a certificate that passed every check */
    RENEW_EV_INSTALLED, /* it is in place */
    RENEW_EV_FAILED     /* code, retry_after_s, jitter: looking, the transfer or the installation failed */
};

struct renew_event {
    enum renew_event_type type;
    struct schedule_life life;
    double fraction;
    enum t2c_code code;
    int64_t retry_after_s; /* -1: none */
    double jitter;
};

enum renew_do {
    RENEW_DO_NOTHING, /* keep waiting for what was waited for */
    RENEW_DO_WAIT,    /* send RENEW_EV_WAKE at at_s, which may be SCHEDULE_NEVER */
    RENEW_DO_LOOK,    /* send LOADED, MISSING or FAILED */
    RENEW_DO_ENROL,   /* first enrolment; send RECEIVED or FAILED */
    RENEW_DO_REENROL, /* by the installed certificate; send RECEIVED or FAILED */
    RENEW_DO_INSTALL  /* what was received; send INSTALLED or FAILED */
};

struct renew_action {
    enum renew_do what;
    int64_t at_s;
};

struct renew {
    struct schedule_window window;
    enum renew_state state;
    struct schedule_life life;     /* of the installed certificate; all zero: none */
    struct schedule_life received; /* of the one in hand */
    double fraction, received_fraction;
    unsigned failures;  /* in a row */
    int64_t due_s;      /* when the next step is due */
    int64_t asked_at_s; /* when due_s was computed, to notice a clock that goes back */
    bool waiting;       /* the last action was RENEW_DO_WAIT */
    bool renewing;      /* the last transfer was RENEW_DO_REENROL */
    bool clock_unset;   /* it waits for a clock that is set, and due_s means nothing */
    bool booting;       /* the first look since the program started */
};

/* Begins: the first action is RENEW_DO_LOOK. BOOTING: the program just started, so an overdue renewal is spread. */
struct renew_action renew_start(struct renew *renew, const struct schedule_window *window, bool booting);

struct renew_action renew_step(struct renew *renew, const struct renew_event *event, int64_t now_s);

#endif
