/*
 * Certificates that are refused: a file of lines "SERIAL NUMBER", where a NUMBER below 256 is the TLS alert that answers
 * the certificate, and one above an HTTP status that answers its enrolments. It is read each time, so that a test can
 * revoke what was just issued.
 */
#ifndef ESTCA_REFUSED_H
#define ESTCA_REFUSED_H

#include <openssl/x509.h>

/* Gives the number of CERT in the file PATH; 0 when it is not there, or there is no such file, or PATH is NULL. */
int refused_number(const char *path, const X509 *cert);

#define REFUSED_ALERT_MAX 255

#endif
