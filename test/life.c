/*
 * A program that lives long: many signatures, threads, children, and a TPM that is reset or goes away meanwhile. Every
 * signature is verified by OpenSSL's default provider with the key of the certificate.
 *
 *     life threads URI CERT              8 threads, 200 signatures each
 *     life fork URI CERT [N]             N (4) children, 50 signatures each, while the parent goes on
 *     life fork-in-threads URI CERT      children of a process whose other thread is in the middle of a signature
 *     life many URI CERT NUMBER          that many signatures, one after the other
 *     life signals URI CERT MS           one signature, interrupted every 2 ms, which the TPM does not make before MS
 *     life once URI CERT                 one, and exit without giving anything back
 *     life until URI CERT FILE           until FILE exists; writes "ok", "failed" or "WRONG" for each
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static EVP_PKEY *key, *certified;

enum outcome { OK, FAILED, WRONG };

static EVP_PKEY *load(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info =
        store != NULL && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) == 1 ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *loaded = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return loaded;
}

static enum outcome sign(const void *data, size_t data_len)
{
    EVP_MD_CTX *signer = EVP_MD_CTX_new(), *verifier = EVP_MD_CTX_new();
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    enum outcome outcome = FAILED;
    if (EVP_DigestSignInit(signer, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(signer, sig, &sig_len, data, data_len) == 1)
        outcome = EVP_DigestVerifyInit(verifier, NULL, EVP_sha256(), NULL, certified) == 1 &&
                EVP_DigestVerify(verifier, sig, sig_len, data, data_len) == 1
            ? OK
            : WRONG;
    EVP_MD_CTX_free(signer);
    EVP_MD_CTX_free(verifier);
    return outcome;
}

/* Gives how many of N did not succeed. */
static long sign_times(long n)
{
    long bad = 0;
    for (long i = 0; i < n; i++)
        if (sign(&i, sizeof(i)) != OK) {
            ERR_print_errors_fp(stderr);
            bad++;
        }
    return bad;
}

static void *sign_200(void *arg)
{
    *(long *)arg = sign_times(200);
    return NULL;
}

static long threads(void)
{
    pthread_t ids[8];
    long bad[8] = {0}, sum = 0;
    for (int i = 0; i < 8; i++)
        if (pthread_create(&ids[i], NULL, sign_200, &bad[i]) != 0)
            return -1;
    for (int i = 0; i < 8; i++) {
        pthread_join(ids[i], NULL);
        sum += bad[i];
    }
    return sum;
}

/* A child signs, frees the key as servers' children do, and ends as a program does. */
static pid_t child(long n)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    long bad = sign_times(n);
    EVP_PKEY_free(key);
    exit(bad == 0 ? 0 : 1);
}

static long wait_for_children(int n)
{
    long bad = 0;
    for (int i = 0; i < n; i++) {
        int status = 0;
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            bad++;
    }
    return bad;
}

static long forks(int n)
{
    long bad = sign_times(5);
    for (int i = 0; i < n; i++)
        if (child(50) < 0)
            return -1;
    bad += sign_times(50);
    bad += wait_for_children(n);
    return bad + sign_times(5);
}

/*
 * libcrypto itself may be used by one thread only while another forks: its locks stay as they are in the child. So the child
 * gets a context that is ready to sign, and its signature is verified here.
 */
static bool child_signs(void)
{
    EVP_MD_CTX *signer = EVP_MD_CTX_new(), *verifier = EVP_MD_CTX_new();
    unsigned char sig[512];
    size_t sig_len = sizeof(sig);
    int ends[2], status = 0;
    bool ok = EVP_DigestSignInit(signer, NULL, EVP_sha256(), NULL, key) == 1 && pipe(ends) == 0;
    pid_t pid = ok ? fork() : -1;
    if (pid == 0)
        _exit(EVP_DigestSign(signer, sig, &sig_len, (const unsigned char *)"data", 4) == 1 &&
                    write(ends[1], sig, sig_len) == (ssize_t)sig_len
                ? 0
                : 1);
    if (pid > 0) {
        close(ends[1]);
        ssize_t n = read(ends[0], sig, sizeof(sig));
        close(ends[0]);
        ok = waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 && n > 0 &&
            EVP_DigestVerifyInit(verifier, NULL, EVP_sha256(), NULL, certified) == 1 &&
            EVP_DigestVerify(verifier, sig, (size_t)n, (const unsigned char *)"data", 4) == 1;
    }
    EVP_MD_CTX_free(signer);
    EVP_MD_CTX_free(verifier);
    return pid > 0 && ok;
}

static long forks_in_threads(void)
{
    pthread_t id;
    long thread_bad = 0, bad = 0;
    if (pthread_create(&id, NULL, sign_200, &thread_bad) != 0)
        return -1;
    for (int i = 0; i < 50; i++)
        bad += child_signs() ? 0 : 1;
    pthread_join(id, NULL);
    return bad + thread_bad;
}

static void ignore(int number)
{
    (void)number;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long signals(long least_ms)
{
    const struct sigaction action = {.sa_handler = ignore};
    const struct itimerval every = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    long start_ms = now_ms();
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &every, NULL) != 0)
        return -1;
    long bad = sign_times(1);
    setitimer(ITIMER_REAL, &never, NULL);
    return bad + (now_ms() - start_ms < least_ms);
}

static long until(const char *path)
{
    static const char *const words[] = {[OK] = "ok", [FAILED] = "failed", [WRONG] = "WRONG"};
    long wrong = 0;
    for (long i = 0; access(path, F_OK) != 0; i++) {
        enum outcome outcome = sign(&i, sizeof(i));
        puts(words[outcome]);
        fflush(stdout);
        ERR_print_errors_fp(stderr);
        wrong += outcome == WRONG;
    }
    return wrong;
}

int main(int argc, char **argv)
{
    FILE *file = argc >= 4 ? fopen(argv[3], "r") : NULL;
    X509 *cert = file != NULL ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (cert == NULL)
        return 2;
    fclose(file);
    certified = X509_get_pubkey(cert);
    X509_free(cert);
    key = load(argv[2]);
    if (key == NULL) {
        ERR_print_errors_fp(stderr);
        return 2;
    }
    const char *what = argv[1];
    long bad = -1;
    if (strcmp(what, "threads") == 0)
        bad = threads();
    else if (strcmp(what, "fork") == 0)
        bad = forks(argc == 5 ? atoi(argv[4]) : 4);
    else if (strcmp(what, "fork-in-threads") == 0)
        bad = forks_in_threads();
    else if (strcmp(what, "many") == 0 && argc == 5)
        bad = sign_times(strtol(argv[4], NULL, 10));
    else if (strcmp(what, "signals") == 0 && argc == 5)
        bad = signals(strtol(argv[4], NULL, 10));
    else if (strcmp(what, "until") == 0 && argc == 5)
        bad = until(argv[4]);
    else if (strcmp(what, "once") == 0)
        exit(sign_times(1) == 0 ? 0 : 1); /* key and all stay as they are */
    EVP_PKEY_free(key);
    EVP_PKEY_free(certified);
    if (bad > 0)
        fprintf(stderr, "%ld did not succeed\n", bad);
    return bad == 0 ? 0 : 1;
}
