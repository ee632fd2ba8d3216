/*
 * The word that was meant, of those that there are.
 */
#ifndef TPM2CLOUD_NEAREST_H
#define TPM2CLOUD_NEAREST_H

#include <stddef.h>

/* Begin with WORD, WORD_LEN and nothing else. */
struct t2c_nearest {
    const char *word;
    size_t word_len;
    const char *found; /* NULL: none of those that were offered is near */
    size_t distance;
};

/* Takes CANDIDATE, which must outlive NEAREST, for found if it is near, and nearer than what was offered before. */
void t2c_nearest_offer(struct t2c_nearest *nearest, const char *candidate);

#endif
