/*
 * The life of one certificate as a state machine. Pure: (state, event, now) -> action; who calls does what the action
 * says and feeds its outcome back as the next event.
 *
 * Who asks for the next certificate is a ladder. The installed certificate renews itself; when it is over, or the
 * server refused it three times, the key and certificate of [auth] enrol, which is an alert; a password or a secret
 * header goes along only where no certificate was before, or where a human asked for an enrolment. What the network, a
 * server in trouble or the TPM did counts nothing there. Once the server has refused the last of them, the certificate
 * is barred: it is asked for at the slowest pace, by each in turn, until somebody mends that.
 */
#ifndef ESTD_RENEW_H
#define ESTD_RENEW_H

#include "schedule.h"
#include "tpm2cloud/error.h"

struct renew_rules {
    struct schedule_rules schedule;
    bool pair;     /* [auth] has a key and a certificate */
    bool secret;   /* [auth] has a password or a header */
    bool fallback; /* a certificate in force that is refused steps down to the pair */
    bool hint;     /* the server is asked when it would like a renewal */
};

enum renew_begin {
    RENEW_RELOADED, /* while the program runs */
    RENEW_BOOTED,   /* the program just started, so what is overdue is spread */
    RENEW_ATTENDED, /* a human waits for one step, so a secret may be used */
    RENEW_ANEW      /* and wants an enrolment, whatever is installed */
};

enum renew_state {
    RENEW_LOOKING, /* finding out what is installed and whether it fits the key */
    RENEW_WAITING, /* for the renewal point, the next try or a clock that is set */
    RENEW_ASKING,  /* a transfer runs */
    RENEW_PLACING  /* a new certificate is in hand and not installed yet */
};

/* The rungs of the ladder. */
enum renew_rung {
    RENEW_SELF,  /* the installed certificate */
    RENEW_PAIR,  /* the key and certificate of [auth] */
    RENEW_SECRET /* nothing but the password or header of [auth] */
};

enum renew_event_type {
    RENEW_EV_LOADED,   /* life, fraction, fallen, retry_after_s, jitter: a certificate that fits the key is installed */
    RENEW_EV_MISSING,  /* known, retry_after_s: there is none */
    RENEW_EV_WAKE,     /* the time of the last RENEW_DO_WAIT came, or the clock was set; too early does no harm */
    RENEW_EV_NOW,      /* a human asks for the next step at once, whatever was waited for */
    RENEW_EV_ENROL,    /* a human asks for an enrolment by all that [auth] has, whatever is installed */
    RENEW_EV_RECEIVED, /* life, fraction: the transfer brought a certificate that passed every check */
    RENEW_EV_INSTALLED, /* it is in place */
    RENEW_EV_HINT,      /* hint, code, retry_after_s: what came of an action's ask_hint; NOT_FOUND: nothing, for good */
    RENEW_EV_PENDING,   /* retry_after_s: the server took the request and wants it once more, later; no failure */
    RENEW_EV_FAILED     /* code, refused, retry_after_s, jitter: looking, the transfer or the installation failed */
};

struct renew_event {
    enum renew_event_type type;
    struct schedule_life life;
    struct schedule_hint hint;
    double fraction;
    enum t2c_code code;
    bool refused;          /* the server refused the identity that asked, as opposed to everything else */
    bool known;            /* a certificate had been there before */
    bool fallen;           /* as renew_is_fallen said before a restart */
    int64_t retry_after_s; /* the server's wish, or what is left of one from before a restart; -1: none */
    double jitter;
};

enum renew_do {
    RENEW_DO_NOTHING, /* keep waiting for what was waited for */
    RENEW_DO_WAIT,    /* send RENEW_EV_WAKE at at_s, which may be SCHEDULE_NEVER */
    RENEW_DO_LOOK,    /* send LOADED, MISSING or FAILED */
    RENEW_DO_ENROL,   /* by [auth], without its secrets unless the action says so; send RECEIVED, PENDING or FAILED */
    RENEW_DO_REENROL, /* by the installed certificate; send RECEIVED, PENDING or FAILED */
    RENEW_DO_DENY,    /* nobody may ask without a human: say so, send FAILED with INVALID */
    RENEW_DO_INSTALL  /* what was received; send INSTALLED or FAILED */
};

/* What a human should learn. */
enum renew_news {
    RENEW_NO_NEWS,
    RENEW_STEPPED_DOWN, /* an alert: the installed certificate is refused, so that [auth] goes on */
    RENEW_EXPIRED,      /* the installed certificate is over, so that [auth] goes on if it can */
    RENEW_BARRED        /* an alert: every identity that may ask is refused */
};

struct renew_action {
    enum renew_do what;
    int64_t at_s;
    bool secret;   /* RENEW_DO_ENROL: password and header of [auth] go along */
    bool ask_hint; /* besides, ask for the hint of the installed certificate and send HINT, while the rest goes on */
    enum renew_news news;
};

struct renew {
    struct renew_rules rules;
    enum renew_state state;
    struct schedule_life life;     /* of the installed certificate; all zero: none */
    struct schedule_life received; /* of the one in hand */
    double fraction, received_fraction;
    struct schedule_hint hint; /* of the installed certificate; all zero: none */
    unsigned failures;         /* in a row, by the same rung */
    int64_t due_s;             /* when the next step is due */
    int64_t asked_at_s;        /* when due_s was computed, to notice a clock that goes back */
    int64_t soonest_s;         /* the server is not asked before, unless by a human */
    int64_t hint_at_s;         /* when to ask for the hint; SCHEDULE_NEVER: not any more */
    bool hint_asked;           /* and no answer yet */
    enum renew_rung rung;      /* where the next renewal stands: SELF, or PAIR once SELF was refused */
    enum renew_rung by;        /* who asked last, and who got the one that is installed once it is */
    unsigned refusals;         /* of SELF, without a success since */
    bool barred;               /* the last rung was refused */
    bool fallen;               /* the pair got the installed certificate, because the one before was refused */
    bool pending;              /* the server took the request and wants it once more */
    bool known;                /* there is or was a certificate, so no secret by itself */
    bool over_told;            /* that it expired */
    bool attended;             /* a human asked for this: a secret may go along */
    bool anew;                 /* and for an enrolment, not a renewal */
    bool waiting;              /* the last action was RENEW_DO_WAIT */
    bool clock_unset;          /* it waits for a clock that is set, and due_s means nothing */
    bool booting;              /* the first look since the program started */
    double boot_jitter;
};

/* Begins: the first action is RENEW_DO_LOOK. */
struct renew_action renew_start(struct renew *renew, const struct renew_rules *rules, enum renew_begin begin);

struct renew_action renew_step(struct renew *renew, const struct renew_event *event, int64_t now_s);

/* Says whether a certificate was refused and none has renewed itself since. */
bool renew_is_fallen(const struct renew *renew);

#endif
