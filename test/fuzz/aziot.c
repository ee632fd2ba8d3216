/*
 * The TPM is a device that is not there, so that each use of it ends at once.
 */
#include "aziot.h"

#include "tpm2cloud/aziot.h"
#include "tpm2cloud/aziot_record.h"
#include "tpm2cloud/file.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/ossl.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <sys/stat.h>

const char *const aziot_ids[] = {"record", "hmac", "sealed", "soft-ec", "soft-rsa", "raw", "named", "hostile", "none"};
const size_t aziot_ids_n = sizeof(aziot_ids) / sizeof(aziot_ids[0]);

/* Made by a TPM that is no more. */
static const char pair_pem[] = "-----BEGIN TSS2 PRIVATE KEY-----\n"
                               "MIHxBgZngQUKAQOgAwEB/wIFAIEAAAEEWABWACMACwAEBHIAAAAQABAAAwAQACCQ\n"
                               "7gWtXCSmGzRqUOvqNpFcjLadNedqJYiXShwFK6JToQAgnTRzeiIPCo9urht/ughF\n"
                               "vUZ28hwgYXeey0FH1xtwdbsEgYAAfgAgbjy698l73oXsdCj6HnwOfwXXoZj3t91y\n"
                               "svv5PGgpeQoAEF78TKXSvv3JNLAmiICOb+v+VS9xYwLR1+ubwC677MFq4Z644ROa\n"
                               "hShQhcY44jRXE5GhJF6GYyPF9P/n88/tzPC52RK4cx5nCAp+vk3VPmKzEBaDryMl\n"
                               "zGscJA==\n"
                               "-----END TSS2 PRIVATE KEY-----\n";
static const char hmac_pem[] = "-----BEGIN TSS2 PRIVATE KEY-----\n"
                               "MIHrBgZngQUKAQOgAwEB/wIFAIEAAAEEMgAwAAgACwAEBFIAAAAFAAsAIGPxujQb\n"
                               "LdmoKzBM3yaN5nZuT7HC4lAklMisS6HiykujBIGgAJ4AICSndaff2fBl1/IudvrY\n"
                               "DJWAgLfCzqWwLYxEZ8+3pMjpABB3BvTsjQmdK3dKvNzN7kVv6kjPnlK/gCbGJRkf\n"
                               "UYa999CZmrx34TTU/20XrvXM/6utLUG992q89xAlf9QRXBDj629coCVoaE+6XdOk\n"
                               "bVHXqX/Kynw7f3X/Oa/uNAM9Cbub8cZNhdLyWNuZ/xKBnBlG6cJHMQmauMJJHw==\n"
                               "-----END TSS2 PRIVATE KEY-----\n";
static const char sealed_pem[] = "-----BEGIN TSS2 PRIVATE KEY-----\n"
                                 "MIHpBgZngQUKAQOgAwEB/wIFAIEAAAEEMAAuAAgACwAABFIAAAAQACCjRJnY62gA\n"
                                 "bptYPWMEYJ2gxOUIPYwC86Q3kOAey/fFKQSBoACeACDm+qIqcZd4O3w2GBWFBctH\n"
                                 "pDWfWQnm+jUCy5taPEfh2AAQJdQUHIKpnnTtoaYgRDI4Jg6sk+arcZO+rszqy3cM\n"
                                 "7nllxdVvGAryifDJNBFujSGSyqsY35MkVlgaBayeM4mDpKPzwKoW6p0dZ1TG9s7S\n"
                                 "Y3VL3951aRBkTtk5v7kpq89b528yQh9YBgm3rLJVkfSaDfItCbSUZ6ZIeIc=\n"
                                 "-----END TSS2 PRIVATE KEY-----\n";

static char dir[32];
static struct {
    char path[256];
    struct t2c_bytes data;
} files[8];
static size_t files_n;

static void write_file(const char *path, const void *data, size_t data_len)
{
    FILE *out = fopen(path, "w");
    assert(out != NULL && fwrite(data, 1, data_len, out) == data_len && fclose(out) == 0);
}

static void keep_file(const char *path, const void *data, size_t data_len)
{
    assert(files_n < sizeof(files) / sizeof(files[0]));
    snprintf(files[files_n].path, sizeof(files[files_n].path), "%s", path);
    assert(t2c_bytes_append(&files[files_n].data, data, data_len, NULL));
    files_n++;
}

static void keep_record(const char *id, struct t2c_aziot_record *record)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes path = {0}, data = {0};
    assert(t2c_bytes_printf(&path, NULL, "%s/keys/", dir) && t2c_aziot_stem(id, &path, NULL) &&
        t2c_bytes_printf(&path, NULL, ".tpm"));
    assert(t2c_aziot_record_encode(record, &data, NULL));
    keep_file((const char *)path.data, data.data, data.len);
    t2c_aziot_record_fini(record);
}

static void keep_records(void)
{
    struct t2c_aziot_record pair = {.pair = true}, hmac = {.usage = AZIOT_KEYS_KEY_USAGE_SIGN},
                            sealed = {.usage = AZIOT_KEYS_KEY_USAGE_ENCRYPT};
    assert(t2c_bytes_printf(&pair.key, NULL, "%s", pair_pem) && t2c_bytes_printf(&hmac.key, NULL, "%s", hmac_pem) &&
        t2c_bytes_printf(&sealed.sealed, NULL, "%s", sealed_pem));
    keep_record("record", &pair);
    keep_record("hmac", &hmac);
    keep_record("sealed", &sealed);
}

static const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *keys;

static void preload(const char *id, const char *value)
{
    char name[64];
    snprintf(name, sizeof(name), "preloaded_key:%s", id);
    assert(aziot_is_ok(keys->set_parameter(name, value)));
}

static void preload_file(const char *id, const void *data, size_t data_len)
{
    char url[300];
    snprintf(url, sizeof(url), "file://%s/%s", dir, id);
    preload(id, url);
    keep_file(url + strlen("file://"), data, data_len);
}

/* Takes KEY. */
static void preload_soft(const char *id, EVP_PKEY *key)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes pem = {0};
    T2C_CLEANUP(t2c_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    assert(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    assert(t2c_bytes_append_bio(&pem, bio, NULL));
    preload_file(id, pem.data, pem.len);
    EVP_PKEY_free(key);
}

static void remove_dir(void)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert(system(command) == 0);
}

static void make_dir(void)
{
    char path[64];
    strcpy(dir, "/dev/shm/fuzz.XXXXXX");
    assert(mkdtemp(dir) != NULL && atexit(remove_dir) == 0);
    snprintf(path, sizeof(path), "%s/keys", dir);
    assert(mkdir(path, 0700) == 0);
    snprintf(path, sizeof(path), "%s/conf", dir);
    write_file(path, "", 0);
    assert(setenv("TPM2CLOUD_CONF", path, 1) == 0 && setenv("TPM2CLOUD_TCTI", "device:/dev/none", 1) == 0);
}

const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *aziot_setup(void)
{
    static const uint8_t raw[32] = {1, 2, 3};
    const struct AZIOT_KEYS_FUNCTION_LIST *list = NULL;
    make_dir();
    assert(aziot_is_ok(aziot_keys_get_function_list(AZIOT_KEYS_VERSION_2_1_0_0, &list)));
    t2c_log_open("fuzz", T2C_LOG_ALERT); /* each call that fails tells so */
    keys = (const struct AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
    assert(aziot_is_ok(keys->set_parameter("homedir_path", dir)));
    keep_records();
    preload_soft("soft-ec", EVP_PKEY_Q_keygen(t2c_host(), NULL, "EC", "P-256"));
    preload_soft("soft-rsa", EVP_PKEY_Q_keygen(t2c_host(), NULL, "RSA", (size_t)1024));
    preload_file("raw", raw, sizeof(raw));
    preload_file("hostile", "x", 1);
    preload("named", "tpm2cloud:ldevid");
    aziot_restore();
    return keys;
}

void aziot_restore(void)
{
    for (size_t i = 0; i < files_n; i++) {
        struct stat found;
        if (stat(files[i].path, &found) != 0 || (size_t)found.st_size != files[i].data.len)
            write_file(files[i].path, files[i].data.data, files[i].data.len);
    }
}

/* Each is another file, so that what was made of the last one is not taken for it. */
void aziot_write_hostile(const void *data, size_t data_len)
{
    char path[64], temp[64];
    snprintf(path, sizeof(path), "%s/hostile", dir);
    snprintf(temp, sizeof(temp), "%s/hostile.new", dir);
    write_file(temp, data, data_len);
    assert(rename(temp, path) == 0);
}

bool aziot_is_ok(unsigned rc)
{
    assert(rc <= AZIOT_KEYS_RC_ERR_EXTERNAL);
    return rc == AZIOT_KEYS_RC_OK;
}
