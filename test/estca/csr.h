/* What a CA must find out about a certification request (RFC 2986) before it signs. */
#ifndef ESTCA_CSR_H
#define ESTCA_CSR_H

#include "issue.h"

/*
 * Read one CSR from DER and check it: nothing behind it, its signature, extensions that can be read, none of those
 * that this CA copies asked for twice.
 */
bool csr_read(const uint8_t *der, size_t len, X509_REQ **out, struct fail *err);

/* The same from a file, DER or PEM. */
bool csr_read_file(const char *path, X509_REQ **out, struct fail *err);

/* Fill subject, key and wanted extensions of ORDER. */
bool csr_order(X509_REQ *csr, struct issue_order *order, struct fail *err);

/* True when CERT has the CSR's subject and subjectAltName, byte by byte (RFC 7030 section 4.2.2). */
bool csr_same_names(X509_REQ *csr, const X509 *cert, struct fail *err);

#endif
