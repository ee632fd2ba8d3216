/*
 * Signatures and HMACs for keyd. Each peer is open by itself, beside the yardstick, because they would not fit into a TPM at the
 * same time; pairs of the two are measured one after the other, in the other order every second time.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTED 10

/* The first is the yardstick, the second the same again. */
static struct peer pair_peers[] = {
    {.id = "raw", .open = raw_open, .sign = raw_sign, .close = raw_close},
    {.id = "raw-again", .open = raw_open, .sign = raw_sign, .close = raw_close},
    {.id = "record", .open = keyd_pair_open, .sign = keyd_sign, .close = keyd_close},
    {.id = "named", .open = keyd_named_open, .sign = keyd_sign, .close = keyd_close},
    {.id = "stock", .open = stock_pair_open, .sign = stock_sign, .close = pkcs11_close, .slow = true},
    {.id = "kept", .open = kept_pair_open, .sign = kept_sign, .close = pkcs11_close},
    {.id = NULL},
};

static struct peer hmac_peers[] = {
    {.id = "raw", .open = raw_hmac_open, .sign = raw_sign, .close = raw_close},
    {.id = "raw-again", .open = raw_hmac_open, .sign = raw_sign, .close = raw_close},
    {.id = "record", .open = keyd_hmac_open, .sign = keyd_sign, .close = keyd_close},
    {.id = "validation", .open = keyd_validation_open, .sign = keyd_sign, .close = keyd_close},
    {.id = "stock", .open = stock_hmac_open, .sign = stock_sign, .close = pkcs11_close, .slow = true},
    {.id = "kept", .open = kept_hmac_open, .sign = kept_sign, .close = pkcs11_close},
    {.id = NULL},
};

static void sign_or_die(struct peer *peer)
{
    if (peer->sign(peer))
        return;
    fprintf(stderr, "measure: %s does not sign\n", peer->id);
    exit(1);
}

static double sample(struct peer *peer, double *cpu)
{
    double cpu_before = own_cpu_s(), before = now_s();
    sign_or_die(peer);
    double after = now_s();
    *cpu = own_cpu_s() - cpu_before;
    return after - before;
}

static void measure(struct peer *raw, struct peer *peer, size_t pairs)
{
    struct figures figures;
    figures_init(&figures, pairs);
    sign_or_die(peer); /* what the first one costs is another question */
    for (size_t i = 0; i < pairs; i++) {
        double own = 0, base = 0, cpu = 0, base_cpu = 0;
        if (i % 2 == 1)
            own = sample(peer, &cpu);
        base = sample(raw, &base_cpu);
        if (i % 2 == 0)
            own = sample(peer, &cpu);
        figures_add(&figures, own, base, cpu);
    }
    figures_print(peer->id, &figures);
    figures_fini(&figures);
}

static void count(struct peer *peer)
{
    sign_or_die(peer);
    struct traffic before = traffic_read();
    for (int i = 0; i < COUNTED; i++)
        sign_or_die(peer);
    traffic_print(peer->id, &before, COUNTED);
}

/* PAIRS: 0 to count. */
static int run(const struct setup *setup, bool hmac, size_t pairs)
{
    struct peer *peers = hmac ? hmac_peers : pair_peers;
    if (!peers[0].open(&peers[0], setup)) {
        fprintf(stderr, "measure: no yardstick: %s\n", peers[0].why);
        return 1;
    }
    for (struct peer *peer = peers + 1; peer->id != NULL; peer++) {
        if (!peer->open(peer, setup))
            printf("%s\tmissing\t%s\n", peer->id, peer->why);
        else if (pairs > 0)
            measure(&peers[0], peer, peer->slow ? (pairs + 9) / 10 : pairs);
        else
            count(peer);
        peer->close(peer);
        tss_flush_all(setup->tcti);
    }
    peers[0].close(&peers[0]);
    return 0;
}

int aziot_main(const struct setup *setup, bool hmac, size_t pairs)
{
    return run(setup, hmac, pairs > 0 ? pairs : 1);
}

int aziot_count_main(const struct setup *setup, bool hmac)
{
    return run(setup, hmac, 0);
}

int aziot_once_main(const struct setup *setup, bool hmac, const char *id)
{
    for (struct peer *peer = hmac ? hmac_peers : pair_peers; peer->id != NULL; peer++)
        if (strcmp(peer->id, id) == 0) {
            if (!peer->open(peer, setup)) {
                fprintf(stderr, "measure: %s: %s\n", id, peer->why);
                return 1;
            }
            sign_or_die(peer);
            peer->close(peer);
            return 0;
        }
    return 2;
}
