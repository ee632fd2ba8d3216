/*
 * What the files of the benchmark share: a peer is one way to have a message signed by a key in the TPM.
 */
#ifndef TEST_BENCH_BENCH_H
#define TEST_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As long as what TLS 1.3 has signed with a SHA-256 transcript. */
#define MESSAGE_LEN 130
extern const unsigned char bench_message[MESSAGE_LEN];

/* Where the TPM and the keys are; from the environment, see main.c. */
struct setup {
    bool rsa;
    const char *tcti;
    uint32_t handle, hmac_handle;
    const char *our_modules, *our_uri;
    const char *peer_modules, *peer_uri;
    const char *pkcs11_uri;
    const char *aziot_library, *aziot_homedir; /* libaziot_keys, and keyd's home with its records */
    const char *pkcs11_library, *pkcs11_token; /* tpm2-pkcs11; the label of the token */
};

struct peer {
    const char *id;
    /* False when the peer cannot be measured here; why says why. */
    bool (*open)(struct peer *peer, const struct setup *setup);
    /* Makes one signature. */
    bool (*sign)(struct peer *peer);
    void (*close)(struct peer *peer);
    bool streamed; /* Update and Final in place of the one-shot call */
    bool slow;     /* a tenth of the pairs will do */
    void *state;
    char why[200];
};

/* Zeroed memory; there is no going on without. */
void *new_zeroed(size_t n, size_t size);
/* Sets peer->why, first line only, and returns false. */
bool peer_fails(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, for what stands on OpenSSL's error queue, which is emptied. */
bool peer_fails_openssl(struct peer *peer, const char *what);

/* tss.c: the yardstick, and what ESAPI adds to it. */
bool raw_open(struct peer *peer, const struct setup *setup);
bool raw_hmac_open(struct peer *peer, const struct setup *setup);
bool raw_sign(struct peer *peer);
void raw_close(struct peer *peer);
bool esys_open(struct peer *peer, const struct setup *setup);
bool esys_sign(struct peer *peer);
void esys_close(struct peer *peer);
/* Flushes what processes have left in the TPM, as a resource manager would. */
void tss_flush_all(const char *tcti);

/* evp.c: EVP_DigestSign and its streamed form, by key of a provider or of an engine. */
bool our_open(struct peer *peer, const struct setup *setup);
bool tpm2_open(struct peer *peer, const struct setup *setup);
bool evp_sign(struct peer *peer);
void evp_close(struct peer *peer);
bool engine_open(struct peer *peer, const struct setup *setup);

/* keyd.c: libaziot_keys as keyd calls it, each call twice. The id is that of a pair, of an HMAC key, of keyd's own key. */
bool keyd_pair_open(struct peer *peer, const struct setup *setup);
bool keyd_named_open(struct peer *peer, const struct setup *setup);
bool keyd_hmac_open(struct peer *peer, const struct setup *setup);
bool keyd_validation_open(struct peer *peer, const struct setup *setup);
bool keyd_sign(struct peer *peer);
void keyd_close(struct peer *peer);

/* pkcs11.c: tpm2-pkcs11, as keyd's stock library calls it for each of keyd's calls, and with all kept open. */
bool stock_pair_open(struct peer *peer, const struct setup *setup);
bool stock_hmac_open(struct peer *peer, const struct setup *setup);
bool stock_sign(struct peer *peer);
bool kept_pair_open(struct peer *peer, const struct setup *setup);
bool kept_hmac_open(struct peer *peer, const struct setup *setup);
bool kept_sign(struct peer *peer);
void pkcs11_close(struct peer *peer);

/* figures.c: medians of ratios, and sums. */
struct figures {
    double *own, *base; /* of pair i, in seconds */
    double cpu;         /* of all own, in seconds */
    size_t n;
};
void figures_init(struct figures *figures, size_t n);
void figures_add(struct figures *figures, double own, double base, double cpu);
/*
 * Prints, separated by tabs: ID, pairs, median of the ratios, the 95 % bounds of that median, ratio of the medians, and in
 * microseconds the median of own and the mean CPU time of own.
 */
void figures_print(const char *id, struct figures *figures);
void figures_fini(struct figures *figures);

/* A moment, in seconds; the CPU time that this process has used, in seconds. */
double now_s(void);
double own_cpu_s(void);
/* Puts ORDER into another order, the same in each run of the program. */
void shuffle(size_t *order, size_t n);

/* What the counting TCTI has written so far. */
struct traffic {
    unsigned long commands, sent, received;
};
struct traffic traffic_read(void);
/* Prints, separated by tabs: ID, and what came since BEFORE: commands, bytes sent, bytes received, each divided by N. */
void traffic_print(const char *id, const struct traffic *before, unsigned n);

/* sign.c, aziot.c and cold.c: the verbs. */
int sign_main(const struct setup *setup, size_t pairs);
int sign_count_main(const struct setup *setup);
int cold_main(const struct setup *setup, size_t rounds, char **argv);
int aziot_main(const struct setup *setup, bool hmac, size_t pairs);
int aziot_count_main(const struct setup *setup, bool hmac);
int aziot_once_main(const struct setup *setup, bool hmac, const char *id);
int cold_count_main(const struct setup *setup, char **argv);

#endif
