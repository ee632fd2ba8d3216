/*
 * The library context in which the host computes.
 */
#include "tpm2cloud/ossl.h"

#include <pthread.h>

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static OSSL_LIB_CTX *host;

static OSSL_LIB_CTX *get(void)
{
    return __atomic_load_n(&host, __ATOMIC_ACQUIRE);
}

/* Without the lock once it is made: a child must not find it held by a thread that it does not have. */
OSSL_LIB_CTX *t2c_host(void)
{
    if (get() != NULL)
        return get();
    pthread_mutex_lock(&host_lock);
    if (host == NULL)
        __atomic_store_n(&host, OSSL_LIB_CTX_new(), __ATOMIC_RELEASE);
    pthread_mutex_unlock(&host_lock);
    return get();
}
