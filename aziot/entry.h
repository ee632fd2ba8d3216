/*
 * A key that is open. It remembers which file it came from (device, inode, times): a generation may be switched, a key
 * rotated, while keyd runs.
 */
#ifndef AZIOT_ENTRY_H
#define AZIOT_ENTRY_H

#include "location.h"
#include "pair.h"
#include "symmetric.h"
#include <sys/stat.h>

struct stamp {
    dev_t dev;
    ino_t ino;
    struct timespec modified, changed;
};

struct entry {
    struct entry *next; /* of the keyring */
    char *id;
    struct stamp stamp;
    struct pair pair;
    struct symmetric symmetric; /* one of the two is filled */
    bool is_pair;
    bool loaded; /* the TPM has it */
};

/*
 * Gives what lies at LOCATION, the caller's; sends no TPM command. NULL, with NOT_FOUND when nothing does, and only then: what
 * lies there and cannot be used fails with the reason.
 */
struct entry *entry_open(const struct location *location, const char *id, struct t2c_error *err);
void entry_free(struct entry *entry);

/* Says whether ENTRY is what lies at LOCATION now. */
bool entry_is_current(const struct entry *entry, const struct location *location);

/* Makes sure, once, that this TPM has or takes the key. */
bool entry_load(struct entry *entry, struct t2c_error *err);

#endif
