/*
 * What a process that was killed in the middle of replacing files has left beside them.
 */
#ifndef ESTD_TIDY_H
#define ESTD_TIDY_H

#include <stddef.h>

/*
 * Removes the temporary files that are left beside any of PATHS, which it puts in another order, and says so in the log. Each
 * directory is read once, however many of them are in it. Gives how many were removed. Only under the lock: another process
 * may be writing its own.
 */
size_t tidy_files(const char **paths, size_t paths_n);

/* Removes the temporary files in the open directory DIR, whatever they are of: it has no files of others. */
void tidy_all(int dir);

#endif
