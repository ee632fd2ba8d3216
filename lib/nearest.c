/*
 * Which word was meant: the one at the smallest edit distance, in letters added, left out, exchanged, or swapped with their
 * neighbour (optimal string alignment). A third of the letters may be wrong.
 */
#include "tpm2cloud/nearest.h"

#include <string.h>

#define WORD_MAX 40

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Both words have at most WORD_MAX letters. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t cost[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a_len; i++)
        cost[i][0] = i;
    for (size_t k = 0; k <= b_len; k++)
        cost[0][k] = k;
    for (size_t i = 1; i <= a_len; i++) {
        for (size_t k = 1; k <= b_len; k++) {
            size_t exchanged = cost[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
            cost[i][k] = least(exchanged, least(cost[i - 1][k], cost[i][k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                cost[i][k] = least(cost[i][k], cost[i - 2][k - 2] + 1);
        }
    }
    return cost[a_len][b_len];
}

void t2c_nearest_offer(struct t2c_nearest *nearest, const char *candidate)
{
    size_t len = strlen(candidate), longer = len > nearest->word_len ? len : nearest->word_len;
    if (longer > WORD_MAX)
        return;
    size_t found = distance(nearest->word, nearest->word_len, candidate, len);
    if (found > (longer + 2) / 3 || (nearest->found != NULL && found >= nearest->distance))
        return;
    nearest->found = candidate;
    nearest->distance = found;
}
