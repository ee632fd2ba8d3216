#include "memory.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void memory_mask(unsigned char in[32], unsigned char out[32])
{
    for (int i = 0; i < 32; i++)
        out[i] = in[i] ^ MEMORY_MASK;
    OPENSSL_cleanse(in, 32);
}

int memory_list(struct memory_region out[MEMORY_REGIONS])
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int n = 0;
    uintmax_t from = 0, to = 0;
    char mode[8], line[512];
    if (maps == NULL)
        abort();
    while (n < MEMORY_REGIONS && fgets(line, sizeof(line), maps) != NULL)
        if (sscanf(line, "%jx-%jx %7s", &from, &to, mode) == 3 && strncmp(mode, "rw", 2) == 0) {
            out[n] = (struct memory_region){.from = (uintptr_t)from, .to = (uintptr_t)to};
            snprintf(out[n++].text, sizeof(out->text), "%.*s", (int)strcspn(line, "\n"), line);
        }
    fclose(maps);
    return n;
}

bool memory_is_here(const unsigned char *at, const unsigned char *masked_half)
{
    for (int i = 0; i < MEMORY_HALF; i++)
        if ((at[i] ^ MEMORY_MASK) != masked_half[i])
            return false;
    return true;
}

int memory_search(const struct memory_region *region, const unsigned char masked[32])
{
    const unsigned char *end = (const unsigned char *)region->to;
    int hits = 0;
    for (const unsigned char *at = (const unsigned char *)region->from; at + MEMORY_HALF <= end; at++)
        hits += memory_is_here(at, masked) || memory_is_here(at, masked + MEMORY_HALF);
    return hits;
}

int memory_search_all(const unsigned char masked[32], const char *what, const char *after)
{
    static struct memory_region regions[MEMORY_REGIONS];
    int n = memory_list(regions), hits = 0;
    for (int i = 0; i < n; i++) {
        int found = memory_search(&regions[i], masked);
        hits += found;
        if (found > 0)
            fprintf(stderr, "# after %s: %d of %s in %s\n", after, found, what, regions[i].text);
    }
    return hits;
}
