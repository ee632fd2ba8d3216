/*
 * The system calls that matter to a crash: those that change the file system, read from it, or talk to a peer.
 */
#ifndef CRASH_CALLS_H
#define CRASH_CALLS_H

#include "tpm2cloud/bytes.h"
#include <sys/types.h>

/* What a call does; a set of them says which calls are points. */
enum { CALL_FILE = 1, CALL_READ = 2, CALL_PEER = 4, CALL_TELL = 8 /* of CALL_PEER, those that send */ };

/* How a change of the file system is written down. */
enum call_change {
    CHANGE_NONE,
    CHANGE_OPEN,
    CHANGE_WRITE,
    CHANGE_TRUNCATE,
    CHANGE_SYNC,
    CHANGE_MODE,
    CHANGE_OWNER,
    CHANGE_MKDIR,
    CHANGE_REMOVE,
    CHANGE_RENAME,
    CHANGE_LINK,
    CHANGE_SYMLINK,
    CHANGE_OTHER, /* one that no log can hold */
};

/* One call, by the places of its arguments; -1: it has none such. */
struct call {
    long number;
    const char *name;
    unsigned kinds; /* what it may be; on a descriptor, the descriptor decides */
    enum call_change change;
    signed char fd;        /* a descriptor that it works on */
    signed char dir, path; /* a path, and the descriptor that it starts from (-1: the working directory) */
    signed char dir2, path2;
};

/* One call as it happens. Paths are absolute, and empty where there is none. */
struct seen {
    const struct call *call;
    unsigned kind; /* one of CALL_*, 0: nothing of interest */
    pid_t tid;
    uint64_t args[6];
    char path[4096], path2[4096];
    bool existed; /* what CHANGE_OPEN opens was there before */
};

/* Gives the call NUMBER, or NULL when it does not matter. */
const struct call *calls_find(uint64_t number);

/* Says whether CALL, on a socket, sends. */
bool calls_tells(const struct call *call);

/* Gives *out, what the thread TID, which stands at the entry of CALL with ARGS, is about to do. */
void calls_look(const struct call *call, pid_t tid, const uint64_t args[6], struct seen *out);

/* Gives the path of the descriptor FD of TID in OUT; false when it has none, as a socket or a removed file. */
bool calls_path_of(pid_t tid, int fd, char *out, size_t out_len);

/* Reads LEN bytes at ADDRESS of TID. */
bool calls_peek(pid_t tid, uint64_t address, void *out, size_t len);

#endif
