/* Requests tied to their connection; see binding.h. */
#include "binding.h"

#include <string.h>

#include "own.h"

#define LABEL "EXPORTER-Channel-Binding"
#define LINKING "1.2.840.113549.1.9.16.2.58"

const char *binding_of(SSL *ssl, struct bytes *out)
{
    uint8_t value[64];
    if (SSL_version(ssl) > TLS1_2_VERSION) {
        static const unsigned char no_context[1];
        if (SSL_export_keying_material(ssl, value, 32, LABEL, strlen(LABEL), no_context, 0, 1) != 1)
            return "-";
        bytes_add_base64(out, value, 32, 0, "");
        return "tls-exporter";
    }
    if (SSL_get_extms_support(ssl) != 1)
        return "-";
    /* The first Finished is the client's in a full handshake, ours in a resumed one (RFC 5929 section 3.1). */
    size_t len = SSL_session_reused(ssl) ? SSL_get_finished(ssl, value, sizeof(value))
                                         : SSL_get_peer_finished(ssl, value, sizeof(value));
    bytes_add_base64(out, value, len, 0, "");
    return "tls-unique";
}

/* The one value of the attribute TYPE, or NULL. */
static const ASN1_STRING *attribute(X509_REQ *csr, const char *type)
{
    OWN(object_freep) ASN1_OBJECT *object = OBJ_txt2obj(type, 0);
    int at = X509_REQ_get_attr_by_OBJ(csr, object, -1);
    X509_ATTRIBUTE *attr = at >= 0 ? X509_REQ_get_attr(csr, at) : NULL;
    ASN1_TYPE *value = attr != NULL && X509_ATTRIBUTE_count(attr) == 1 ? X509_ATTRIBUTE_get0_type(attr, 0) : NULL;
    if (value == NULL || (value->type != V_ASN1_PRINTABLESTRING && value->type != V_ASN1_UTF8STRING))
        return NULL;
    return value->value.asn1_string;
}

bool binding_ok(X509_REQ *csr, enum binding_rule rule, const struct bytes *want, bool *tied)
{
    const ASN1_STRING *have = attribute(csr, "challengePassword");
    if (have == NULL)
        have = attribute(csr, LINKING);
    *tied = have != NULL && want->len > 0 && (size_t)ASN1_STRING_length(have) == want->len &&
        memcmp(ASN1_STRING_get0_data(have), want->p, want->len) == 0;
    return *tied || rule == BINDING_IGNORE || (rule == BINDING_CHECK && have == NULL);
}
