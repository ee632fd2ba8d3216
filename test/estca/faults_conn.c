/* Faults of a connection before its first request; see faults.h. */
#include "faults.h"

#include <openssl/ssl.h>

static bool delay_accept(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    (void)err;
    plan->accept_ms = arg;
    return true;
}

static bool delay_handshake(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    (void)err;
    plan->handshake_ms = arg;
    return true;
}

static bool reset_accept(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    plan->reset = true;
    return true;
}

static bool abrupt(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    plan->abrupt = true;
    return true;
}

static bool plain_http(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    (void)arg, (void)err;
    plan->plain = true;
    return true;
}

static bool hello_alert(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    (void)err;
    plan->hello_alert = (int)arg;
    return true;
}

static bool client_alert(struct conn_plan *plan, int64_t arg, struct fail *err)
{
    plan->client_alert = (int)arg;
    return conn_knows_alert(plan->client_alert) ||
        fail(err, "--fault client-alert=%d: OpenSSL sends 40, 42 to 46, 48, 51 or 80", plan->client_alert);
}

const struct fault_row faults_conn[] = {
    {"delay-accept", "MS", 0, 600000, "wait before each connection is accepted", .conn = delay_accept},
    {"delay-handshake", "MS", 0, 600000, "wait before the TLS handshake", .conn = delay_handshake},
    {"reset-accept", NULL, 0, 0, "TCP RST instead of the TLS handshake", .conn = reset_accept},
    {"abrupt", NULL, 0, 0, "it closes at once, though the client may still send", .conn = abrupt},
    {"plain-http", NULL, 0, 0, "answer in HTTP without TLS", .conn = plain_http},
    {"hello-alert", "N", 1, 255, "this fatal TLS alert answers the ClientHello", .conn = hello_alert},
    {"client-alert", "N", 1, 255, "this one answers the client's certificate", .conn = client_alert},
    {0},
};
