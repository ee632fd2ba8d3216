/*
 * Configuration: estd.conf, a line "----", and the file of one certificate. Both go through files, as they do on a device.
 */
#include "../../estd/config.h"

#include "fuzz.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LINE "\n----\n"

static char main_path[64], cert_path[80], last_lines[80];

static void remove_all(void)
{
    char dir[64];
    unlink(cert_path);
    unlink(main_path);
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(cert_path, '/') - cert_path), cert_path);
    rmdir(dir);
    *strrchr(dir, '/') = '\0';
    rmdir(dir);
}

static void make_directory(void)
{
    char dir[32] = "/dev/shm/fuzz_config.XXXXXX", certs_d[48];
    if (main_path[0] != '\0')
        return;
    if (mkdtemp(dir) == NULL) {
        strcpy(dir, "/tmp/fuzz_config.XXXXXX");
        assert(mkdtemp(dir) != NULL);
    }
    snprintf(certs_d, sizeof(certs_d), "%s/certs.d", dir);
    assert(mkdir(certs_d, 0700) == 0);
    snprintf(main_path, sizeof(main_path), "%s/estd.conf", dir);
    snprintf(cert_path, sizeof(cert_path), "%s/a.conf", certs_d);
    snprintf(last_lines, sizeof(last_lines), "\n[estd]\ncerts_d = %s\n", certs_d);
    atexit(remove_all);
}

static void write_file(const char *path, const void *data, size_t data_len, const char *more)
{
    T2C_CLEANUP(t2c_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert(fd >= 0);
    assert(write(fd, data, data_len) == (ssize_t)data_len);
    assert(write(fd, more, strlen(more)) == (ssize_t)strlen(more));
}

static void try(const uint8_t *data, size_t data_len)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    struct t2c_error err = {0};
    const uint8_t *line = memmem(data, data_len, LINE, strlen(LINE));
    size_t main_len = line != NULL ? (size_t)(line - data) : 0;
    const uint8_t *own = line != NULL ? line + strlen(LINE) : data;
    if (memmem(data, data_len, "include", 7) != NULL)
        return; /* of the machine's own files */
    make_directory();
    write_file(main_path, data, main_len, last_lines);
    write_file(cert_path, own, data_len - (size_t)(own - data), "");
    if (!config_load(main_path, true, &config, &err)) {
        assert_refused(&err);
        assert(config == NULL);
        return;
    }
    assert(config_certs_n(config) <= 1);
    for (size_t i = 0; i < config_certs_n(config); i++) {
        const struct config_cert *cert = config_cert(config, i);
        assert(cert->url != NULL && cert->key != NULL && cert->subject != NULL && strcmp(cert->path, cert_path) == 0);
        assert(cert->trust != NULL || cert->trust_fingerprint != NULL);
        assert(cert->targets_n > 0 || cert->current);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_len)
{
    try(data, data_len);
    ERR_clear_error(); /* what is left in OpenSSL's queue looks like a leak, and looking for leaks takes long */
    return 0;
}
