/*
 * The library context in which the host computes.
 */
#include "tpm2cloud/ossl.h"

#include <pthread.h>

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static OSSL_LIB_CTX *host;

OSSL_LIB_CTX *t2c_host(void)
{
    pthread_mutex_lock(&host_lock);
    if (host == NULL)
        host = OSSL_LIB_CTX_new();
    OSSL_LIB_CTX *out = host;
    pthread_mutex_unlock(&host_lock);
    return out;
}

void t2c_host_close(void)
{
    pthread_mutex_lock(&host_lock);
    OSSL_LIB_CTX_free(host);
    host = NULL;
    pthread_mutex_unlock(&host_lock);
}
