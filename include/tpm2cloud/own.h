/*
 * Ownership, declared where a variable is: clean-up attributes and stealing.
 *
 *     T2C_CLEANUP(t2c_key_freep) struct t2c_key *key = NULL;
 *     ...
 *     *out = T2C_STEAL(key);
 */
#ifndef TPM2CLOUD_OWN_H
#define TPM2CLOUD_OWN_H

#include <stdlib.h>
#include <unistd.h>

/* Unused: clang counts the clean-up as no use of the variable. */
#define T2C_CLEANUP(function) __attribute__((cleanup(function), unused))

/* Gives the pointer away: the variable is NULL afterwards, so its clean-up does nothing. */
#define T2C_STEAL(pointer)                          \
    __extension__({                                 \
        __typeof__(pointer) t2c_stolen = (pointer); \
        (pointer) = NULL;                           \
        t2c_stolen;                                 \
    })

/* Defines a clean-up function NAME for variables of type TYPE pointer, which FREE releases. */
#define T2C_DEFINE_FREEP(name, type, free_function) \
    static inline void name(type **pointer)         \
    {                                               \
        if (*pointer != NULL)                       \
            free_function(*pointer);                \
        *pointer = NULL;                            \
    }

/* A pointer of any type, seen as void *: clean-up functions for all types must be allowed to alias them. */
typedef void *__attribute__((may_alias)) t2c_any_pointer;

static inline void t2c_freep(void *variable)
{
    t2c_any_pointer *pointer = variable;
    free(*pointer);
    *pointer = NULL;
}

/* For `int fd = -1;`. */
static inline void t2c_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

#endif
