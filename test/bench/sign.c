/*
 * Signatures with a loaded key. All peers live in this one process and are measured in one run: short blocks of pairs, raw
 * TPM2_Sign and the peer one after the other and in the other order every second time, and the blocks of the peers shuffled.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK 20
#define COUNTED 10

/* The first is the yardstick; the second, the same again, shows how far from 1 equals can be. */
static struct peer peers[] = {
    {.id = "raw", .open = raw_open, .sign = raw_sign, .close = raw_close},
    {.id = "raw-again", .open = raw_open, .sign = raw_sign, .close = raw_close},
    {.id = "esys", .open = esys_open, .sign = esys_sign, .close = esys_close},
    {.id = "tpm2cloud", .open = our_open, .sign = evp_sign, .close = evp_close},
    {.id = "tpm2cloud-streamed", .open = our_open, .sign = evp_sign, .close = evp_close, .streamed = true},
    {.id = "tpm2-openssl", .open = tpm2_open, .sign = evp_sign, .close = evp_close},
    {.id = "tpm2-openssl-streamed", .open = tpm2_open, .sign = evp_sign, .close = evp_close, .streamed = true},
    {.id = "tpm2-pkcs11", .open = engine_open, .sign = evp_sign, .close = evp_close},
};
#define PEERS_N (sizeof(peers) / sizeof(peers[0]))

static void sign_or_die(struct peer *peer)
{
    if (peer->sign(peer))
        return;
    peer_fails_openssl(peer, "cannot sign");
    fprintf(stderr, "measure: %s %s\n", peer->id, peer->why);
    exit(1);
}

/* Opens every peer and gives the numbers of those that are here; says which are not. */
static size_t open_all(const struct setup *setup, size_t *present)
{
    size_t n = 0;
    tss_flush_all(setup->tcti);
    for (size_t i = 0; i < PEERS_N; i++)
        if (peers[i].open(&peers[i], setup))
            present[n++] = i;
        else
            printf("%s\tmissing\t%s\n", peers[i].id, peers[i].why);
    if (n == 0 || present[0] != 0) {
        fprintf(stderr, "measure: no raw TPM2_Sign: %s\n", peers[0].why);
        exit(1);
    }
    return n;
}

static void close_all(void)
{
    for (size_t i = PEERS_N; i-- > 0;)
        peers[i].close(&peers[i]);
}

static double sample(struct peer *peer, double *cpu)
{
    double cpu_before = own_cpu_s(), before = now_s();
    sign_or_die(peer);
    double after = now_s();
    *cpu = own_cpu_s() - cpu_before;
    return after - before;
}

static void measure_pair(struct peer *peer, bool swapped, struct figures *figures)
{
    double own = 0, cpu = 0, base_cpu = 0;
    if (swapped)
        own = sample(peer, &cpu);
    double base = sample(&peers[0], &base_cpu);
    if (!swapped)
        own = sample(peer, &cpu);
    figures_add(figures, own, base, cpu);
}

int sign_main(const struct setup *setup, size_t pairs)
{
    struct figures figures[PEERS_N];
    size_t present[PEERS_N], order[PEERS_N], n = open_all(setup, present) - 1, blocks = (pairs + BLOCK - 1) / BLOCK;
    if (blocks == 0)
        blocks = 1;
    for (size_t i = 0; i < n; i++) {
        order[i] = present[i + 1];
        figures_init(&figures[order[i]], blocks * BLOCK);
    }
    for (size_t block = 0; block < blocks; block++) {
        shuffle(order, n);
        for (size_t i = 0; i < n; i++)
            for (size_t pair = 0; pair < BLOCK; pair++)
                measure_pair(&peers[order[i]], pair % 2 == 1, &figures[order[i]]);
    }
    for (size_t i = 1; i <= n; i++) {
        figures_print(peers[present[i]].id, &figures[present[i]]);
        figures_fini(&figures[present[i]]);
    }
    close_all();
    return 0;
}

int sign_count_main(const struct setup *setup)
{
    size_t present[PEERS_N], n = open_all(setup, present);
    for (size_t i = 0; i < n; i++) {
        struct peer *peer = &peers[present[i]];
        sign_or_die(peer);
        struct traffic before = traffic_read();
        for (int k = 0; k < COUNTED; k++)
            sign_or_die(peer);
        traffic_print(peer->id, &before, COUNTED);
    }
    close_all();
    return 0;
}
