/*
 * Whether the authorization value of the owner stays behind where it was used, for a shell story:
 *
 *     forgets FILE     removes the key at 0x81000002; FILE has the value, of 32 bytes, and is what the settings name
 *
 * Ends with 0 when the value is nowhere in the memory of this process afterwards.
 */
#include "memory.h"
#include "tpm2cloud/key.h"
#include "tpm2cloud/tpm.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned char value[32], masked[32];
    struct t2c_error err = {0};
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    bool read_all = fd >= 0 && read(fd, value, sizeof(value)) == (ssize_t)sizeof(value);
    if (fd >= 0)
        close(fd);
    if (!read_all) {
        fputs("usage: forgets FILE\n", stderr);
        return 2;
    }
    memory_mask(value, masked);
    t2c_tpm_quiet();
    if (!t2c_key_evict(0x81000002, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int hits = memory_search_all(masked, "the value", "its use");
    t2c_tpm_close();
    return hits + memory_search_all(masked, "the value", "the end of the connection") == 0 ? 0 : 1;
}
