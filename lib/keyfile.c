/*
 * TPMKey ::= SEQUENCE { type OID, emptyAuth [0] BOOLEAN OPTIONAL, policy [1], secret [2], authPolicy [3], description [4]
 * UTF8String OPTIONAL, rsaParent [5] BOOLEAN OPTIONAL, parent INTEGER, pubkey OCTET STRING, privkey OCTET STRING }
 */
#include "keyfile.h"

#include "tpm2cloud/ossl.h"
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <string.h>

#define LOADABLE "2.23.133.10.1.3"

/* OpenSSL's templates want a type name. */
typedef struct tpmkey {
    ASN1_OBJECT *type;
    ASN1_BOOLEAN empty_auth;
    ASN1_TYPE *policy;
    ASN1_OCTET_STRING *secret;
    ASN1_TYPE *auth_policy;
    ASN1_UTF8STRING *description;
    ASN1_BOOLEAN rsa_parent;
    ASN1_INTEGER *parent;
    ASN1_OCTET_STRING *pubkey;
    ASN1_OCTET_STRING *privkey;
} TPMKEY;

ASN1_SEQUENCE(TPMKEY) = {
    ASN1_SIMPLE(TPMKEY, type, ASN1_OBJECT),
    ASN1_EXP_OPT(TPMKEY, empty_auth, ASN1_BOOLEAN, 0),
    ASN1_EXP_OPT(TPMKEY, policy, ASN1_ANY, 1),
    ASN1_EXP_OPT(TPMKEY, secret, ASN1_OCTET_STRING, 2),
    ASN1_EXP_OPT(TPMKEY, auth_policy, ASN1_ANY, 3),
    ASN1_EXP_OPT(TPMKEY, description, ASN1_UTF8STRING, 4),
    ASN1_EXP_OPT(TPMKEY, rsa_parent, ASN1_BOOLEAN, 5),
    ASN1_SIMPLE(TPMKEY, parent, ASN1_INTEGER),
    ASN1_SIMPLE(TPMKEY, pubkey, ASN1_OCTET_STRING),
    ASN1_SIMPLE(TPMKEY, privkey, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(TPMKEY)

static void tpmkey_freep(TPMKEY **key)
{
    ASN1_item_free((ASN1_VALUE *)*key, ASN1_ITEM_rptr(TPMKEY));
}

void t2c_keyfile_fini(struct t2c_keyfile *file)
{
    t2c_bytes_fini(&file->pub);
    t2c_bytes_fini(&file->priv);
    t2c_bytes_fini(&file->der);
}

static bool check(const TPMKEY *key, struct t2c_error *err)
{
    char oid[64] = "";
    OBJ_obj2txt(oid, sizeof(oid), key->type, 1);
    if (strcmp(oid, LOADABLE) != 0)
        return t2c_fail(
            err, T2C_INVALID, "a TPM key file of type %s; only loadable keys (%s) can be used", oid, LOADABLE);
    if (key->policy != NULL || key->auth_policy != NULL)
        return t2c_fail(err, T2C_INVALID, "a TPM key file with a policy; this version uses keys without policy");
    return true;
}

/* Below zero: handles from 0x80000000 on, in files by programs whose long has 32 bits; tpm2-openssl before 1.2 is one. */
static bool take_parent(uint32_t *out, const ASN1_INTEGER *number, struct t2c_error *err)
{
    int64_t parent = 0;
    if (ASN1_INTEGER_get_int64(&parent, number) != 1 || parent < INT32_MIN || parent > UINT32_MAX)
        return t2c_fail_openssl(err, T2C_INVALID, "the TPM key file names an impossible parent");
    *out = (uint32_t)parent;
    return true;
}

/* Appends the DER of DATA, which is that already or has it in a PEM block. */
static bool take_der(const void *data, size_t data_len, struct t2c_bytes *out, struct t2c_error *err)
{
    if (data_len > 0 && *(const uint8_t *)data == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED))
        return t2c_bytes_append(out, data, data_len, err);
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new_mem_buf(data, (int)data_len);
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    long der_len = 0;
    if (bio == NULL || PEM_bytes_read_bio(&der, &der_len, NULL, T2C_KEYFILE_LABEL, bio, t2c_no_passphrase, NULL) != 1)
        return t2c_fail_openssl(err, T2C_INVALID, "no PEM block \"" T2C_KEYFILE_LABEL "\" in it");
    return t2c_bytes_append(out, der, (size_t)der_len, err);
}

bool t2c_keyfile_parse(const void *data, size_t data_len, struct t2c_keyfile *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_keyfile_fini) struct t2c_keyfile file = {0};
    if (!take_der(data, data_len, &file.der, err))
        return false;
    const unsigned char *at = file.der.data;
    T2C_CLEANUP(tpmkey_freep)
    TPMKEY *key = (TPMKEY *)ASN1_item_d2i(NULL, &at, (long)file.der.len, ASN1_ITEM_rptr(TPMKEY));
    if (key == NULL || at != file.der.data + file.der.len)
        return t2c_fail_openssl(err, T2C_INVALID, "the TPM key file is damaged");
    file.rsa_parent = key->rsa_parent > 0;
    file.empty_auth = key->empty_auth > 0;
    if (!check(key, err) || !take_parent(&file.parent, key->parent, err) ||
        !t2c_bytes_append_asn1(&file.pub, key->pubkey, err) || !t2c_bytes_append_asn1(&file.priv, key->privkey, err))
        return false;
    *out = file;
    file = (struct t2c_keyfile){0};
    return true;
}

bool t2c_keyfile_append(const struct t2c_keyfile *file, struct t2c_bytes *out, struct t2c_error *err)
{
    T2C_CLEANUP(tpmkey_freep) TPMKEY *key = (TPMKEY *)ASN1_item_new(ASN1_ITEM_rptr(TPMKEY));
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    T2C_CLEANUP(t2c_openssl_freep) unsigned char *der = NULL;
    if (key == NULL || bio == NULL)
        return t2c_fail_nomem(err);
    ASN1_OBJECT_free(key->type);
    key->type = OBJ_txt2obj(LOADABLE, 1);
    /* Told either way, as tpm2-openssl does; 0xff is DER's only TRUE. */
    key->empty_auth = file->empty_auth ? 0xff : 0;
    key->rsa_parent = file->rsa_parent ? 0xff : -1;
    if (key->type == NULL || ASN1_INTEGER_set_uint64(key->parent, file->parent) != 1 ||
        ASN1_OCTET_STRING_set(key->pubkey, file->pub.data, (int)file->pub.len) != 1 ||
        ASN1_OCTET_STRING_set(key->privkey, file->priv.data, (int)file->priv.len) != 1)
        return t2c_fail_nomem(err);
    int der_len = ASN1_item_i2d((ASN1_VALUE *)key, &der, ASN1_ITEM_rptr(TPMKEY));
    if (der_len <= 0 || PEM_write_bio(bio, T2C_KEYFILE_LABEL, "", der, der_len) <= 0)
        return t2c_fail_openssl(err, T2C_NOMEM, "cannot encode a TPM key file");
    return t2c_bytes_append_bio(out, bio, err);
}
