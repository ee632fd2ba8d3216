/*
 * Memory of the heap would share its page with other things, and be unlocked with them.
 */
#include "locked.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

bool locked_init(struct locked *out, size_t cap, struct t2c_error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (cap + page - 1) / page * page;
    void *data = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return t2c_fail_errno(err, errno, "no memory for a key");
    (void)mlock(data, whole); /* a limit of zero must not keep IoT Edge from its keys */
    (void)madvise(data, whole, MADV_DONTDUMP);
    *out = (struct locked){.data = data, .cap = whole};
    return true;
}

void locked_fini(struct locked *locked)
{
    if (locked->data == NULL)
        return;
    OPENSSL_cleanse(locked->data, locked->cap);
    munmap(locked->data, locked->cap);
    *locked = (struct locked){0};
}
