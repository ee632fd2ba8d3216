/*
 * The measuring half of `make bench`; bench.sh makes the TPM and the keys, runs this and prints the tables.
 *
 *     measure sign ec|rsa PAIRS              latency and CPU time of a signature, each peer against raw TPM2_Sign
 *     measure sign-count ec|rsa              TPM commands and bytes of a signature
 *     measure aziot pair|hmac PAIRS          the same of keyd's keys, each peer open by itself, against raw TPM2_Sign or TPM2_HMAC
 *     measure aziot-count pair|hmac          TPM commands and bytes, likewise
 *     measure aziot-once pair|hmac ID        a peer's first signature, in a process of its own
 *     measure cold ROUNDS -- ID COMMAND... [-- ID COMMAND...]
 *                                            wall and CPU time of processes, each against the first
 *     measure cold-count -- ID COMMAND...    TPM commands and bytes of processes
 *
 * Counting reads what the counting TCTI writes, which must then stand in each peer's way to the TPM (test/tcti_count.c).
 * The output is lines of fields separated by tabs; the first is the peer's id. A peer that is not here is a line
 * "ID missing REASON". Environment: BENCH_TCTI, BENCH_HANDLE, BENCH_PEER_MODULES, BENCH_PKCS11_URI,
 * BENCH_HMAC_HANDLE, BENCH_AZIOT_LIBRARY, BENCH_AZIOT_HOMEDIR, BENCH_PKCS11_LIBRARY, BENCH_PKCS11_TOKEN, and what the peers read.
 */
#include "bench.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const unsigned char bench_message[MESSAGE_LEN] = "the same message for all";

void *new_zeroed(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (memory == NULL)
        abort();
    return memory;
}

bool peer_fails(struct peer *peer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(peer->why, sizeof(peer->why), format, args);
    va_end(args);
    peer->why[strcspn(peer->why, "\n\t")] = '\0';
    return false;
}

bool peer_fails_openssl(struct peer *peer, const char *what)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_peek_last_error_all(NULL, NULL, NULL, &data, &flags);
    const char *reason = ERR_reason_error_string(code);
    peer_fails(peer, "%s: %s %s", what, reason != NULL ? reason : "no reason given",
        (flags & ERR_TXT_STRING) != 0 ? data : "");
    ERR_clear_error();
    return false;
}

static const char *from_env(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static int usage(void)
{
    fprintf(stderr,
        "usage: measure sign ec|rsa PAIRS | sign-count ec|rsa\n"
        "               aziot pair|hmac PAIRS | aziot-count pair|hmac | aziot-once pair|hmac ID\n"
        "               cold ROUNDS -- ID COMMAND... [-- ...] | cold-count -- ID COMMAND... [-- ...]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct setup setup = {
        .tcti = from_env("BENCH_TCTI", NULL),
        .handle = (uint32_t)strtoul(from_env("BENCH_HANDLE", "0x81000002"), NULL, 0),
        .our_modules = from_env("OPENSSL_MODULES", NULL),
        .our_uri = "tpm2cloud://ldevid",
        .peer_modules = from_env("BENCH_PEER_MODULES", NULL),
        .pkcs11_uri = from_env("BENCH_PKCS11_URI", NULL),
        .hmac_handle = (uint32_t)strtoul(from_env("BENCH_HMAC_HANDLE", "0"), NULL, 0),
        .aziot_library = from_env("BENCH_AZIOT_LIBRARY", NULL),
        .aziot_homedir = from_env("BENCH_AZIOT_HOMEDIR", NULL),
        .pkcs11_library = from_env("BENCH_PKCS11_LIBRARY", NULL),
        .pkcs11_token = from_env("BENCH_PKCS11_TOKEN", NULL),
    };
    char peer_uri[32];
    snprintf(peer_uri, sizeof(peer_uri), "handle:0x%08x", setup.handle);
    setup.peer_uri = peer_uri;
    if (argc < 3 || setup.tcti == NULL)
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    setup.rsa = strcmp(argv[2], "rsa") == 0;
    if (strcmp(argv[1], "sign") == 0 && argc == 4)
        return sign_main(&setup, strtoul(argv[3], NULL, 10));
    if (strcmp(argv[1], "sign-count") == 0)
        return sign_count_main(&setup);
    const bool hmac = strcmp(argv[2], "hmac") == 0;
    if (strcmp(argv[1], "aziot") == 0 && argc == 4)
        return aziot_main(&setup, hmac, strtoul(argv[3], NULL, 10));
    if (strcmp(argv[1], "aziot-count") == 0)
        return aziot_count_main(&setup, hmac);
    if (strcmp(argv[1], "aziot-once") == 0 && argc == 4)
        return aziot_once_main(&setup, hmac, argv[3]);
    if (strcmp(argv[1], "cold") == 0)
        return cold_main(&setup, strtoul(argv[2], NULL, 10), argv + 3);
    if (strcmp(argv[1], "cold-count") == 0)
        return cold_count_main(&setup, argv + 2);
    return usage();
}
