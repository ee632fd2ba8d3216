/*
 * csrattrs: the vectors of RFC 7030 and RFC 9908's drafts, the answers of real servers, templates, what is damaged; and
 * what a request becomes by them.
 */
#include "../estd/csrattrs.h"

#include "tpm2cloud/file.h"
#include "check_main.h"
#include <openssl/conf.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static EVP_PKEY *p256, *p384, *rsa, *ed25519;

static void set_up(void)
{
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    rsa = EVP_RSA_gen(2048);
    ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static void tear_down(void)
{
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed25519);
}

/* ---- attributes in the terms of ASN1_generate_nconf(3) ---- */

/* TEXT: a configuration whose key "attrs" is generated. */
static void generate(const char *text, struct t2c_bytes *out)
{
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(text, -1);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    CONF *conf = NCONF_new(NULL);
    ck_assert_int_gt(NCONF_load_bio(conf, bio, NULL), 0);
    ASN1_TYPE *type = ASN1_generate_nconf(NCONF_get_string(conf, "default", "attrs"), conf);
    ck_assert_msg(type != NULL, "%s", text);
    int len = i2d_ASN1_TYPE(type, &der);
    ck_assert(t2c_bytes_append(out, der, (size_t)len, NULL));
    ASN1_TYPE_free(type);
    NCONF_free(conf);
}

/* TEXT: base64, or such a configuration. */
static void body_of(const char *text, struct t2c_bytes *out)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    if (strchr(text, '\n') == NULL) {
        ck_assert(t2c_bytes_append(out, text, strlen(text), NULL));
        return;
    }
    generate(text, &der);
    ck_assert(t2c_bytes_base64(out, der.data, der.len, 64, NULL));
}

static void decode(const char *text, struct csrattrs *out)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    struct t2c_error err = {0};
    body_of(text, &body);
    ck_assert_msg(csrattrs_decode(body.data, body.len, out, &err), "%s", err.text);
}

/* ---- what was understood, in a line ---- */

static void describe_name(const struct csrattrs_name *name, struct t2c_bytes *out)
{
    const ASN1_STRING *value = name->value != NULL ? name->value->value.asn1_string : NULL;
    t2c_bytes_printf(out, NULL, "%s%s=%.*s ", name->joined ? "+" : "", OBJ_nid2sn(OBJ_obj2nid(name->type)),
        value != NULL ? ASN1_STRING_length(value) : 1,
        value != NULL ? (const char *)ASN1_STRING_get0_data(value) : "?");
}

/* What OpenSSL prints of other names differs between its versions. */
static void describe_extension(X509_EXTENSION *extension, struct t2c_bytes *out)
{
    char type[80];
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    bool empty = ASN1_STRING_length(X509_EXTENSION_get_data(extension)) == 0;
    OBJ_obj2txt(type, sizeof(type), X509_EXTENSION_get_object(extension), 0);
    bool known = X509V3_EXT_print(bio, extension, 0, 0) == 1;
    ck_assert(t2c_bytes_append_bio(&text, bio, NULL));
    if (!known || strstr((const char *)text.data, "othername") != NULL) {
        t2c_bytes_clear(&text);
        t2c_bytes_printf(&text, NULL, "...");
    }
    t2c_bytes_printf(out, NULL, "%s%s=%s%s%s ", type, X509_EXTENSION_get_critical(extension) ? "!" : "",
        empty ? "?" : "[", empty ? "" : (const char *)text.data, empty ? "" : "]");
}

static void describe(const struct csrattrs *attrs, struct t2c_bytes *out)
{
    t2c_bytes_printf(out, NULL, "%s%s%s%s%s", attrs->has_template ? "template " : "",
        attrs->wants_binding ? "binding " : "", attrs->wants_linking ? "linking " : "", attrs->wants_otp ? "otp " : "",
        attrs->wants_revocation ? "revocation " : "");
    for (size_t i = 0; i < attrs->keys_n; i++) {
        const struct csrattrs_key *key = &attrs->keys[i];
        t2c_bytes_printf(out, NULL, "%s", key->type > 0 ? OBJ_nid2sn(key->type) : "?");
        if (key->curve != 0)
            t2c_bytes_printf(out, NULL, ":%s", key->curve > 0 ? OBJ_nid2sn(key->curve) : "?");
        if (key->bits != 0)
            t2c_bytes_printf(out, NULL, ":%d", key->bits);
        t2c_bytes_printf(out, NULL, " ");
    }
    for (size_t i = 0; i < attrs->digests_n; i++)
        t2c_bytes_printf(out, NULL, "%s%s%s ", OBJ_nid2sn(attrs->digests[i].nid),
            attrs->digests[i].key_type != 0 ? "/" : "",
            attrs->digests[i].key_type != 0 ? OBJ_nid2sn(attrs->digests[i].key_type) : "");
    for (size_t i = 0; i < attrs->names_n; i++)
        describe_name(&attrs->names[i], out);
    for (int i = 0; i < sk_X509_EXTENSION_num(attrs->extensions); i++)
        describe_extension(sk_X509_EXTENSION_value(attrs->extensions, i), out);
    t2c_bytes_append(out, "", 0, NULL);
}

/* RFC 7030 4.5.2, RFC 8951 4. */
#define RFC7030 "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="
/* The examples of draft-ietf-lamps-rfc7030-csrattrs, which became RFC 9908: a lone Extension, then a list. */
#define ACP                                                                                                            \
    "MGQwYgYJKoZIhvcNAQkOMVUwUwYDVR0RAQH/BEmgRzBFBggrBgEFBQcICgw5cmZjODk5NCtmZDczOWZjMjNjMzQ0MDExMjIzMzQ0NTUwMDAwMDAw" \
    "MCtAYWNwLmV4YW1wbGUuY29t"
#define OTHER_NAME                                                                                                     \
    "MGcGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMDwGCSqGSIb3DQEJDjEvMC0wKwYDVR0RBCQwIqAgBggrBgEFBQcICqAUFhJwb3RhdG9A" \
    "ZXhhbXBsZS5jb20GCCqGSM49BAMD"
#define RSA_4096 "MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw=="
#define SERIAL_NUMBER "MD0GCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBIGCSqGSIb3DQEJDjEFBgNVBAUGCCqGSM49BAMD"
#define DRINK                                                                                                          \
    "MFQGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAjMCkGCSqGSIb3DQEJDjEcBgNVBAUGCSqGSIb3DQEJFAYKCZImiZPyLGQBBQYIKoZIzj0E" \
    "AwQ="

#define IN_TEMPLATE                                                                  \
    "attrs=SEQ:list\n[list]\n1=OID:challengePassword\n2=SEQ:attr\n3=OID:secp521r1\n" \
    "[attr]\n1=OID:1.2.840.113549.1.9.16.2.61\n2=SET:values\n[values]\n1=SEQ:template\n"
#define ONE_ATTRIBUTE(type) "attrs=SEQ:list\n[list]\n1=SEQ:attr\n[attr]\n1=OID:" type "\n2=SET:values\n[values]\n"
#define ONE_EXTENSION(extension) ONE_ATTRIBUTE("extReq") "1=SEQ:exts\n[exts]\n1=SEQ:ext\n[ext]\n" extension "\n"

/* The example of RFC 9908 3.4. */
#define EXAMPLE                                                                                               \
    IN_TEMPLATE                                                                                               \
    "[template]\n1=INT:0\n2=SEQ:subject\n3=IMP:0,SEQ:spki\n4=IMP:1,SET:attributes\n"                          \
    "[subject]\n1=SET:rdn1\n2=SET:rdn2\n3=SET:rdn3\n[rdn1]\n1=SEQ:cn\n[cn]\n1=OID:commonName\n"               \
    "[rdn2]\n1=SEQ:ou1\n[ou1]\n1=OID:OU\n2=UTF8:myDept\n[rdn3]\n1=SEQ:ou2\n[ou2]\n1=OID:OU\n2=UTF8:myGroup\n" \
    "[spki]\n1=SEQ:algorithm\n[algorithm]\n1=OID:id-ecPublicKey\n2=OID:prime256v1\n"                          \
    "[attributes]\n1=SEQ:exts\n[exts]\n1=OID:1.2.840.113549.1.9.16.2.62\n2=SET:extset\n"                      \
    "[extset]\n1=SEQ:extlist\n[extlist]\n1=SEQ:san\n2=SEQ:ku\n3=SEQ:eku\n"                                    \
    "[san]\n1=OID:subjectAltName\n2=OCTWRAP,SEQ:names\n"                                                      \
    "[names]\n1=IMP:2,IA5:www.myServer.com\n2=IMP:7,OCT:\n"                                                   \
    "[ku]\n1=OID:keyUsage\n2=BOOL:TRUE\n3=OCTWRAP,FORMAT:BITLIST,BITSTR:0,4\n[eku]\n1=OID:extendedKeyUsage\n"

/* A placeholder of 3072 bits. */
#define ZEROS_64 "0000000000000000000000000000000000000000000000000000000000000000"
#define ZEROS_256 ZEROS_64 ZEROS_64 ZEROS_64 ZEROS_64
#define MODULUS_3072                                        \
    "0x8000" ZEROS_256 ZEROS_256 ZEROS_64 ZEROS_64 ZEROS_64 \
    "000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *attrs, *understood;
} known[] = {
    {"", ""},
    {"MAA=", ""},
    {RFC7030, "binding id-ecPublicKey:secp384r1 SHA384/id-ecPublicKey "},
    {ACP, "X509v3 Subject Alternative Name!=[...] "},
    {OTHER_NAME, "binding id-ecPublicKey:secp384r1 SHA384/id-ecPublicKey X509v3 Subject Alternative Name=[...] "},
    {RSA_4096, "binding rsaEncryption:4096 SHA256/rsaEncryption "},
    {SERIAL_NUMBER, "binding id-ecPublicKey:secp384r1 SHA384/id-ecPublicKey "},
    {DRINK, "binding id-ecPublicKey:secp521r1 SHA512/id-ecPublicKey "},
    {EXAMPLE,
        "template id-ecPublicKey:prime256v1 CN=? OU=myDept OU=myGroup X509v3 Subject Alternative "
        "Name=[DNS:www.myServer.com, IP Address:<invalid length=0>] X509v3 Key Usage!=[Digital Signature, Key "
        "Agreement] "
        "X509v3 Extended Key Usage=? "},
    {IN_TEMPLATE "[template]\n1=INT:0\n", "template "},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=IMP:0,SEQ:spki\n3=IMP:1,SET:none\n[none]\n[spki]\n1=SEQ:algorithm\n"
                 "2=BITWRAP,SEQ:key\n[algorithm]\n1=OID:rsaEncryption\n2=NULL\n[key]\n1=INT:" MODULUS_3072
                 "\n2=INT:65537\n",
        "template rsaEncryption:3072 "},
    {IN_TEMPLATE
        "[template]\n1=INT:0\n2=SEQ:subject\n3=IMP:1,SET:attributes\n[subject]\n1=SET:rdn\n[rdn]\n1=SEQ:cn\n2=SEQ:sn\n"
        "[cn]\n1=OID:CN\n2=PRINTABLE:a\n[sn]\n1=OID:serialNumber\n[attributes]\n1=SEQ:password\n[password]\n"
        "1=OID:challengePassword\n2=SET:none\n[none]\n",
        "template binding serialNumber=? +CN=a "},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=IMP:0,SEQ:spki\n[spki]\n1=SEQ:algorithm\n[algorithm]\n1=OID:1.2.3.4.5\n",
        "template ? "},
    /* RFC 7894 */
    {"attrs=SEQ:list\n[list]\n1=OID:1.2.840.113549.1.9.16.2.56\n2=OID:1.2.840.113549.1.9.16.2.57\n"
     "3=OID:1.2.840.113549.1.9.16.2.58\n",
        "linking otp revocation "},
    /* What is unknown is passed over: OIDs, attributes, their values. */
    {"attrs=SEQ:list\n[list]\n1=OID:1.2.3\n2=OID:1.3.6.1.1.1.1.22\n3=SEQ:attr\n[attr]\n1=OID:1.2.3.4\n2=SET:values\n["
     "values]"
     "\n"
     "1=INT:1\n2=SEQ:any\n[any]\n1=BOOL:TRUE\n",
        ""},
    {ONE_ATTRIBUTE("id-ecPublicKey"), "id-ecPublicKey "},
    {ONE_ATTRIBUTE("id-ecPublicKey") "1=OID:1.2.3.4.5\n2=INT:384\n", "id-ecPublicKey:? "},
    {ONE_ATTRIBUTE("rsaEncryption") "1=INT:2048\n2=INT:3072\n", "rsaEncryption:2048 rsaEncryption:3072 "},
    {ONE_ATTRIBUTE("rsaEncryption") "1=INT:0x7fffffffffffffffffffff\n2=INT:1\n3=INT:-2048\n4=OID:secp384r1\n",
        "rsaEncryption "},
    {"attrs=SEQ:list\n[list]\n1=OID:ED25519\n2=OID:rsassaPss\n3=OID:sha1\n4=OID:ecdsa-with-SHA1\n",
        "ED25519 UNDEF/RSASSA-PSS SHA1 SHA1/id-ecPublicKey "},
    {"attrs=SEQ:list\n[list]\n1=OID:id-ecPublicKey\n2=OID:secp384r1\n3=OID:id-ecPublicKey\n4=OID:prime256v1\n",
        "id-ecPublicKey:secp384r1 id-ecPublicKey:prime256v1 "},
    /* Extensions wanted by their OID; then also with a value. */
    {"attrs=SEQ:list\n[list]\n1=OID:subjectAltName\n2=OID:extendedKeyUsage\n3=OID:subjectAltName\n4=OID:"
     "nameConstraints\n",
        "X509v3 Subject Alternative Name=? X509v3 Extended Key Usage=? "},
    {ONE_ATTRIBUTE("extReq") "1=OID:keyUsage\n2=OID:1.3.6.1.1.1.1.22\n", "X509v3 Key Usage=? "},
    {ONE_ATTRIBUTE("extReq") "1=OID:extendedKeyUsage\n2=SEQ:exts\n[exts]\n1=SEQ:ext\n[ext]\n1=OID:extendedKeyUsage\n"
                             "2=OCTWRAP,SEQ:ekus\n[ekus]\n1=OID:serverAuth\n",
        "X509v3 Extended Key Usage=[TLS Web Server Authentication] "},
    {ONE_EXTENSION("1=OID:1.2.3\n2=FORMAT:HEX,OCT:0500"), "1.2.3=[...] "},
};

START_TEST(known_attributes_are_understood)
{
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes line = {0};
    decode(known[_i].attrs, &attrs);
    describe(&attrs, &line);
    ck_assert_str_eq((const char *)line.data, known[_i].understood);
}
END_TEST

static const struct {
    const char *attrs, *text;
} damaged[] = {
    {" ", "the answer is empty"},
    {"<html>", "the answer cannot be decoded: not base64 at byte 0 (0x3c)"},
    {"MAA", "the answer cannot be decoded: base64 text is cut off"},
    {"MQA=", "the CSR attributes are damaged: no SEQUENCE, or one with too many items"},
    {"MAAwAA==", "the CSR attributes are damaged: no SEQUENCE, or one with too many items"},
    {"MAIFAA==", "the CSR attributes are damaged: an item is neither an OID nor an attribute"},
    {"MAIwAA==", "the CSR attributes are damaged: an item is neither an OID nor an attribute"},
    {"attrs=SEQ:list\n[list]\n1=SEQ:attr\n[attr]\n1=OID:extReq\n2=SEQ:values\n[values]\n",
        "the CSR attributes are damaged: an item is neither an OID nor an attribute"},
    {"attrs=SEQ:list\n[list]\n1=SEQ:attr\n[attr]\n1=OID:extReq\n",
        "the CSR attributes are damaged: an item is neither an OID nor an attribute"},
    {ONE_ATTRIBUTE("extReq") "1=INT:1\n", "the CSR attributes are damaged: extensions are no SEQUENCE"},
    {ONE_ATTRIBUTE("extReq") "1=SEQ:exts\n[exts]\n1=INT:1\n",
        "the CSR attributes are damaged: an extension is no SEQUENCE"},
    {ONE_EXTENSION("1=INT:1"), "the CSR attributes are damaged: an extension is not what it should be"},
    {ONE_EXTENSION("1=OID:keyUsage\n2=INT:1"), "the CSR attributes are damaged: an extension is not what it should be"},
    {ONE_EXTENSION("1=OID:keyUsage\n2=FORMAT:HEX,OCT:00\n3=BOOL:TRUE"),
        "the CSR attributes are damaged: an extension is not what it should be"},
    {ONE_ATTRIBUTE("extReq") "1=SEQ:exts\n[exts]\n1=SEQ:ext\n2=SEQ:ext\n[ext]\n1=OID:keyUsage\n2=FORMAT:HEX,OCT:0500\n",
        "the CSR attributes are damaged: an extension is there twice"},
    {ONE_ATTRIBUTE("1.2.840.113549.1.9.16.2.61"),
        "the CSR attributes are damaged: there is more than one template, or an empty one"},
    {"attrs=SEQ:list\n[list]\n1=SEQ:attr\n2=SEQ:attr\n[attr]\n1=OID:1.2.840.113549.1.9.16.2.61\n2=SET:values\n[values]"
     "\n"
     "1=SEQ:template\n[template]\n1=INT:0\n",
        "the CSR attributes are damaged: there is more than one template, or an empty one"},
    {IN_TEMPLATE "[template]\n", "the CSR attributes are damaged: the template is not of version 1"},
    {IN_TEMPLATE "[template]\n1=INT:1\n", "the CSR attributes are damaged: the template is not of version 1"},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=IMP:2,SEQ:none\n[none]\n",
        "the CSR attributes are damaged: the template has parts that it should not have"},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=SEQ:subject\n[subject]\n1=SEQ:none\n[none]\n",
        "the CSR attributes are damaged: a part of the subject is no SET"},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=SEQ:subject\n[subject]\n1=SET:rdn\n[rdn]\n1=SEQ:cn\n[cn]\n1=OID:CN\n2=INT:1\n",
        "the CSR attributes are damaged: a part of the subject is not what it should be"},
    {IN_TEMPLATE
        "[template]\n1=INT:0\n2=SEQ:subject\n[subject]\n1=SET:rdn\n[rdn]\n1=SEQ:cn\n[cn]\n1=OID:CN\n2=VISIBLE:a\n",
        "the CSR attributes are damaged: a part of the subject is not what it should be"},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=SEQ:subject\n[subject]\n1=SET:rdn\n[rdn]\n1=SEQ:cn\n[cn]\n1=OID:CN\n2=IMP:12U,"
                 "FORMAT:HEX,OCT:"
                 "6de174\n",
        "the CSR attributes are damaged: a part of the subject is not what it should be"},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=IMP:0,SEQ:spki\n[spki]\n1=INT:1\n",
        "the CSR attributes are damaged: the template's public key names no algorithm"},
    {IN_TEMPLATE "[template]\n1=INT:0\n2=IMP:1,SET:attributes\n[attributes]\n1=INT:1\n",
        "the CSR attributes are damaged: an item is neither an OID nor an attribute"},
};

START_TEST(damaged_attributes_are_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    struct t2c_error err = {0};
    body_of(damaged[_i].attrs, &body);
    ck_assert(!csrattrs_decode(body.data, body.len, &attrs, &err));
    ck_assert_int_eq(err.code, T2C_PROTO);
    ck_assert_str_eq(err.text, damaged[_i].text);
    ck_assert(!attrs.has_template && attrs.keys_n == 0 && attrs.names == NULL && attrs.extensions == NULL);
}
END_TEST

/* No prefix is taken for the whole, none leaks. */
START_TEST(every_prefix_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes der = {0};
    generate(EXAMPLE, &der);
    for (size_t len = 1; len < der.len; len++) {
        T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
        struct t2c_error err = {0};
        ck_assert(!csrattrs_decode(der.data, len, &attrs, &err));
        ck_assert_int_eq(err.code, T2C_PROTO);
    }
}
END_TEST

START_TEST(too_much_is_refused)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes body = {0};
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    static const char spaces[CSRATTRS_BODY_MAX + 1];
    struct t2c_error err = {0};
    ck_assert(!csrattrs_decode(spaces, CSRATTRS_BODY_MAX + 1, &attrs, &err));
    ck_assert_str_eq(err.text, "the CSR attributes are longer than 32768 bytes");
    t2c_bytes_printf(&text, NULL, "attrs=SEQ:list\n[list]\n");
    for (int i = 0; i < CSRATTRS_ITEMS_MAX; i++)
        t2c_bytes_printf(&text, NULL, "%d=OID:secp384r1\n", i);
    decode((const char *)text.data, &attrs);
    ck_assert_uint_eq(attrs.keys_n, CSRATTRS_KEYS_MAX);
    t2c_bytes_printf(&text, NULL, "last=OID:secp384r1\n");
    body_of((const char *)text.data, &body);
    csrattrs_fini(&attrs);
    ck_assert(!csrattrs_decode(body.data, body.len, &attrs, &err));
    ck_assert_str_eq(err.text, "the CSR attributes are damaged: no SEQUENCE, or one with too many items");
}
END_TEST

/* ---- requests ---- */

struct request {
    const char *attrs;
    EVP_PKEY **key;
    struct t2c_csr_spec spec;
    const char *has, *warning;
};

/* What openssl says of a request: subject, extensions, digest. */
static void describe_request(X509_REQ *req, struct t2c_bytes *out)
{
    char subject[256];
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    t2c_cert_name_text(X509_REQ_get_subject_name(req), subject, sizeof(subject));
    t2c_bytes_printf(out, NULL, "%s | ", subject);
    for (int i = 0; i < sk_X509_EXTENSION_num(extensions); i++)
        describe_extension(sk_X509_EXTENSION_value(extensions, i), out);
    t2c_bytes_printf(out, NULL, "| %s", OBJ_nid2sn(X509_REQ_get_signature_nid(req)));
    t2c_x509_extensions_free(extensions);
}

#define CLIENT .subject = "/CN=device-1", .eku = "clientAuth"
#define EKU "X509v3 Extended Key Usage=[TLS Web Client Authentication] "
#define SUBJECT_TEMPLATE(parts)                                         \
    IN_TEMPLATE "[template]\n1=INT:0\n2=SEQ:subject\n[subject]\n" parts \
                "[cn]\n1=SEQ:cn1\n[cn1]\n1=OID:CN\n[o]\n1=SEQ:o1\n[o1]\n1=OID:O\n2=UTF8:Server\n"

static const struct request requests[] = {
    {"MAA=", &p256, {CLIENT}, "CN = device-1 | " EKU "| ecdsa-with-SHA256", ""},
    {RFC7030, &p384, {CLIENT}, "CN = device-1 | " EKU "| ecdsa-with-SHA384", ""},
    {RFC7030, &p256, {CLIENT}, "CN = device-1 | " EKU "| ecdsa-with-SHA384",
        "the server wants a key EC secp384r1, and the key is EC prime256v1 of 256 bits"},
    {RFC7030, &rsa, {CLIENT}, "CN = device-1 | " EKU "| RSA-SHA256",
        "the server wants a key EC secp384r1, and the key is RSA  of 2048 bits; the server wants a signature by "
        "ecdsa-with-SHA384, which does not go with the key"},
    {RFC7030, &ed25519, {CLIENT}, "CN = device-1 | " EKU "| ED25519",
        "the server wants a key EC secp384r1, and the key is ED25519  of 256 bits; the server wants a signature by "
        "ecdsa-with-SHA384, which does not go with the key"},
    {RSA_4096, &rsa, {CLIENT}, "CN = device-1 | " EKU "| RSA-SHA256",
        "the server wants a key RSA 4096, and the key is RSA  of 2048 bits"},
    {ONE_ATTRIBUTE("rsaEncryption") "1=INT:2048\n", &rsa, {CLIENT}, "CN = device-1 | " EKU "| RSA-SHA256", ""},
    /* One of those that it takes is enough, and the key's own digest is preferred. */
    {"attrs=SEQ:list\n[list]\n1=OID:sha512\n2=OID:sha256\n3=OID:sha384\n4=OID:secp384r1\n5=OID:prime256v1\n", &p256,
        {CLIENT}, "CN = device-1 | " EKU "| ecdsa-with-SHA256", ""},
    {"attrs=SEQ:list\n[list]\n1=OID:sha1\n2=OID:rsassaPss\n", &rsa, {CLIENT}, "CN = device-1 | " EKU "| RSA-SHA256",
        "the server wants a signature by sha1, which does not go with the key"},
    {"attrs=SEQ:list\n[list]\n1=OID:rsassaPss\n", &rsa, {CLIENT}, "CN = device-1 | " EKU "| RSA-SHA256",
        "the server wants a signature by rsassaPss, which does not go with the key"},
    {"attrs=SEQ:list\n[list]\n1=OID:1.2.840.113549.1.9.16.2.57\n", &p256, {CLIENT},
        "CN = device-1 | " EKU "| ecdsa-with-SHA256",
        "the server wants a one-time or revocation password, of which there is none"},
    /* The example: CN, the address and the usage are ours to say, the rest is the server's. */
    {EXAMPLE, &p256, {CLIENT, .san = "DNS:mine,IP:192.0.2.1,IP:2001:db8::1"},
        "CN = device-1, OU = myDept, OU = myGroup | X509v3 Subject Alternative Name=[DNS:www.myServer.com, "
        "IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1] " EKU
        "X509v3 Key Usage!=[Digital Signature, Key Agreement] | ecdsa-with-SHA256",
        "the extension X509v3 Subject Alternative Name is the server's instead of the configured one"},
    {EXAMPLE, &p256, {.subject = "/O=Mine/OU=myDept/OU=Other"},
        "OU = myDept, OU = myGroup | X509v3 Subject Alternative Name=[DNS:www.myServer.com] "
        "X509v3 Key Usage!=[Digital Signature, Key Agreement] | ecdsa-with-SHA256",
        "the server wants commonName in the subject, which the configured one lacks; organizationalUnitName of the "
        "subject is the server's instead of the configured one; organizationName of the subject is left out, because "
        "the server does not want it; the server wants an IP address in the subjectAltName, which the configured san "
        "lacks; the server wants the extension X509v3 Extended Key Usage, for which the configuration has no value"},
    {SUBJECT_TEMPLATE("1=SET:cn\n"), &p256, {.subject = "/CN=a/CN=b"}, "CN = a | | ecdsa-with-SHA256",
        "commonName of the subject is left out, because the server does not want it"},
    {SUBJECT_TEMPLATE("1=SET:o\n2=SET:cn\n3=SET:cn\n"), &p256, {.subject = "/CN=a/CN=b"},
        "O = Server, CN = a, CN = b | | ecdsa-with-SHA256", ""},
    {SUBJECT_TEMPLATE("1=SET:cn\n"), &p256, {.subject = "/O=a"}, "O = a | | ecdsa-with-SHA256",
        "the server wants commonName in the subject, which the configured one lacks; organizationName of the subject "
        "is "
        "left out, because the server does not want it"},
    /* What the certificate is for is not the server's to say. */
    {ONE_EXTENSION("1=OID:basicConstraints\n2=BOOL:TRUE\n3=OCTWRAP,SEQ:bc\n[bc]\n1=BOOL:TRUE"), &p256, {CLIENT},
        "CN = device-1 | " EKU "| ecdsa-with-SHA256",
        "the server wants a CA (basicConstraints), which the profile is not"},
    {ONE_EXTENSION("1=OID:keyUsage\n2=OCTWRAP,FORMAT:BITLIST,BITSTR:0,5"), &p256, {CLIENT},
        "CN = device-1 | " EKU "| ecdsa-with-SHA256", "the server wants a CA (keyUsage), which the profile is not"},
    {ONE_EXTENSION("1=OID:basicConstraints\n2=OCTWRAP,SEQ:bc\n[bc]\n"), &p256, {CLIENT},
        "CN = device-1 | " EKU "X509v3 Basic Constraints=[CA:FALSE] | ecdsa-with-SHA256", ""},
    {ONE_EXTENSION("1=OID:keyUsage\n2=OCTWRAP,FORMAT:BITLIST,BITSTR:0"), &p256,
        {.subject = "/CN=ca", .profile = T2C_CSR_EDGE_CA},
        "CN = ca | X509v3 Basic Constraints!=[CA:TRUE, pathlen:0] X509v3 Key Usage!=[Digital Signature, Certificate "
        "Sign, CRL Sign] | "
        "ecdsa-with-SHA256",
        ""},
    {"attrs=SEQ:list\n[list]\n1=OID:keyUsage\n", &p256, {.subject = "/CN=s", .profile = T2C_CSR_SERVER},
        "CN = s | X509v3 Key Usage!=[Digital Signature] | ecdsa-with-SHA256", ""},
    {ONE_EXTENSION("1=OID:extendedKeyUsage\n2=BOOL:TRUE"), &p256, {CLIENT},
        "CN = device-1 | X509v3 Extended Key Usage!=[TLS Web Client Authentication] | ecdsa-with-SHA256", ""},
    {ONE_EXTENSION("1=OID:extendedKeyUsage\n2=OCTWRAP,SEQ:eku\n[eku]\n1=OID:serverAuth"), &p256, {CLIENT},
        "CN = device-1 | X509v3 Extended Key Usage=[TLS Web Server Authentication] | ecdsa-with-SHA256",
        "the extension X509v3 Extended Key Usage is the server's instead of the configured one"},
    {ONE_EXTENSION("1=OID:subjectAltName\n2=OCTWRAP,SEQ:san\n[san]\n1=IMP:2,IA5:\n"), &p256,
        {.subject = "/CN=a", .san = "DNS:a,DNS:b,email:c@d"},
        "CN = a | X509v3 Subject Alternative Name=[DNS:a, DNS:b] | ecdsa-with-SHA256",
        "the extension X509v3 Subject Alternative Name is the server's instead of the configured one"},
    {ONE_EXTENSION("1=OID:subjectAltName\n2=OCTWRAP,SEQ:san\n[san]\n1=IMP:2,IA5:\n"), &p256, {.subject = "/CN=a"},
        "CN = a | | ecdsa-with-SHA256",
        "the server wants a DNS name in the subjectAltName, which the configured san lacks"},
    {ONE_EXTENSION("1=OID:subjectAltName\n2=FORMAT:HEX,OCT:0500"), &p256, {.subject = "/CN=a", .san = "DNS:a"},
        "CN = a | X509v3 Subject Alternative Name=[DNS:a] | ecdsa-with-SHA256",
        "the subjectAltName that the server wants is damaged"},
    {ONE_EXTENSION("1=OID:1.2.3\n2=FORMAT:HEX,OCT:0500"), &p256, {.subject = "/CN=a"},
        "CN = a | 1.2.3=[...] | ecdsa-with-SHA256", ""},
};

START_TEST(request_is_what_both_want)
{
    const struct request *r = &requests[_i];
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    T2C_CLEANUP(csrattrs_request_fini) struct csrattrs_request made = {0};
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes has = {0};
    struct t2c_csr_spec spec = r->spec;
    struct t2c_error err = {0};
    decode(r->attrs, &attrs);
    ck_assert_msg(csrattrs_apply(&attrs, *r->key, &spec, &made, &err), "%s", err.text);
    ck_assert_msg(t2c_cert_make_csr(*r->key, &spec, &req, &err), "%s", err.text);
    describe_request(req, &has);
    ck_assert_str_eq((const char *)has.data, r->has);
    ck_assert_str_eq(made.warnings.data != NULL ? (const char *)made.warnings.data : "", r->warning);
    ck_assert_int_eq(X509_REQ_verify(req, *r->key), 1);
}
END_TEST

START_TEST(renewal_keeps_its_names)
{
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    T2C_CLEANUP(csrattrs_request_fini) struct csrattrs_request made = {0};
    T2C_CLEANUP(t2c_x509_req_freep) X509_REQ *req = NULL;
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes has = {0};
    T2C_CLEANUP(t2c_x509_freep) X509 *old = X509_new();
    T2C_CLEANUP(t2c_x509_name_freep) X509_NAME *name = NULL;
    struct t2c_csr_spec spec = {.subject = "/CN=new", .san = "DNS:new", .eku = "clientAuth", .like = old};
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:old");
    ck_assert(t2c_cert_parse_subject("/CN=old", &name, NULL));
    X509_set_subject_name(old, name);
    X509_add_ext(old, san, -1);
    X509_EXTENSION_free(san);
    decode(EXAMPLE, &attrs);
    ck_assert(csrattrs_apply(&attrs, p256, &spec, &made, NULL));
    ck_assert(t2c_cert_make_csr(p256, &spec, &req, NULL));
    describe_request(req, &has);
    ck_assert_str_eq((const char *)has.data,
        "CN = old | X509v3 Subject Alternative Name=[DNS:old] " EKU
        "X509v3 Key Usage!=[Digital Signature, Key Agreement] | ecdsa-with-SHA256");
    ck_assert_uint_eq(made.warnings.len, 0);
}
END_TEST

START_TEST(warnings_have_an_end)
{
    T2C_CLEANUP(csrattrs_fini) struct csrattrs attrs = {0};
    T2C_CLEANUP(csrattrs_request_fini) struct csrattrs_request made = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    struct t2c_csr_spec spec = {CLIENT};
    t2c_bytes_printf(&text, NULL, ONE_ATTRIBUTE("1.2.840.113549.1.9.16.2.62") "1=SEQ:exts\n[exts]\n");
    for (int i = 0; i < CSRATTRS_ITEMS_MAX; i++)
        t2c_bytes_printf(&text, NULL, "%d=SEQ:ext%d\n", i, i);
    for (int i = 0; i < CSRATTRS_ITEMS_MAX; i++)
        t2c_bytes_printf(&text, NULL, "[ext%d]\n1=OID:1.2.3.%d\n", i, i);
    decode((const char *)text.data, &attrs);
    ck_assert(csrattrs_apply(&attrs, p256, &spec, &made, NULL));
    ck_assert_uint_gt(made.warnings.len, 900);
    ck_assert_uint_lt(made.warnings.len, 1300);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("csrattrs");
    TCase *t = tcase_create("csrattrs");
    tcase_add_unchecked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, request_is_what_both_want, 0, COUNT(requests));
    tcase_add_test(t, renewal_keeps_its_names);
    tcase_add_test(t, warnings_have_an_end);
    suite_add_tcase(s, t);
    t = tcase_create("decoder");
    tcase_add_loop_test(t, known_attributes_are_understood, 0, COUNT(known));
    tcase_add_loop_test(t, damaged_attributes_are_refused, 0, COUNT(damaged));
    tcase_add_test(t, every_prefix_is_refused);
    tcase_add_test(t, too_much_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return check_run(suite());
}
