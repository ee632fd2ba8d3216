/*
 * The measuring half of `make bench`; bench.sh makes the TPM and the keys, runs this and prints the tables.
 *
 *     measure sign ec|rsa PAIRS              latency and CPU time of a signature, each peer against raw TPM2_Sign
 *     measure sign-count ec|rsa              TPM commands and bytes of a signature
 *     measure cold ROUNDS -- ID COMMAND... [-- ID COMMAND...]
 *                                            wall and CPU time of processes, each against the first
 *     measure cold-count -- ID COMMAND...    TPM commands and bytes of processes
 *
 * Counting reads what the counting TCTI writes, which must then stand in each peer's way to the TPM (test/tcti_count.c).
 * The output is lines of fields separated by tabs; the first is the peer's id. A peer that is not here is a line
 * "ID missing REASON". Environment: BENCH_TCTI, BENCH_HANDLE, BENCH_PEER_MODULES, BENCH_PKCS11_URI, and what the peers read.
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
    if (strcmp(argv[1], "cold") == 0)
        return cold_main(&setup, strtoul(argv[2], NULL, 10), argv + 3);
    if (strcmp(argv[1], "cold-count") == 0)
        return cold_count_main(&setup, argv + 2);
    return usage();
}
