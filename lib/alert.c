/*
 * A handshake that just fails may be about the client's certificate, too: some servers say no more.
 */
#include "tpm2cloud/alert.h"

#include <openssl/ssl.h>

bool t2c_alert_is_refusal(int alert)
{
    switch (alert & 0xff) {
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
        return true;
    default:
        return false;
    }
}

bool t2c_alert_wants_certificate(int alert)
{
    return (alert & 0xff) == SSL_AD_CERTIFICATE_REQUIRED;
}
