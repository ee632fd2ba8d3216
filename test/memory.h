/*
 * For tests: whether a secret of 32 bytes is anywhere in the memory of this process. What is looked for must not be found in a copy
 * of its own, so it is nowhere but masked.
 */
#ifndef TPM2CLOUD_TEST_MEMORY_H
#define TPM2CLOUD_TEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_HALF 16
#define MEMORY_MASK 0xa5
#define MEMORY_REGIONS 512

struct memory_region {
    uintptr_t from, to;
    char text[160];
};

/* Masks the secret in IN into OUT and wipes IN. */
void memory_mask(unsigned char in[32], unsigned char out[32]);

/* All that can be read and written; gives how many there are, MEMORY_REGIONS at most. */
int memory_list(struct memory_region out[MEMORY_REGIONS]);

bool memory_is_here(const unsigned char *at, const unsigned char *masked_half);

/* Gives how often a half of the secret is in REGION. */
int memory_search(const struct memory_region *region, const unsigned char masked[32]);

/* The same in all of the memory, and tells on standard error where. */
int memory_search_all(const unsigned char masked[32], const char *what, const char *after);

#endif
