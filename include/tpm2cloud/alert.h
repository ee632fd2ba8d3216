/*
 * TLS alerts by which a server refuses who it talks to. Spec: RFC 8446 6.2.
 */
#ifndef TPM2CLOUD_ALERT_H
#define TPM2CLOUD_ALERT_H

#include <stdbool.h>

/* Says whether ALERT, as OpenSSL's info_callback gives it, may be about the certificate that the client showed. */
bool t2c_alert_is_refusal(int alert);
/* Says whether it is about the one that the client did not show. */
bool t2c_alert_wants_certificate(int alert);

#endif
