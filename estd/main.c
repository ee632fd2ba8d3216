/*
 * estd: keeps certificates fresh over EST. Options, the order of starting and stopping, and nothing else.
 */
#include "config.h"
#include "daemon.h"
#include "serve.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/log.h"
#include "tpm2cloud/nearest.h"
#include <curl/curl.h>
#include <getopt.h>
#include <malloc.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

enum { EXIT_USAGE = 2 };

/* The buffers of a connection are longer: the system has them back as soon as it ends. */
#define LARGE_LEN (16 * 1024)

struct options {
    const char *conf;
    const char *once;
    bool anew; /* once, by a first enrolment */
    bool check_config, verbose;
};

static const char usage[] =
    "Usage: estd [-c FILE] [--once NAME | --enroll NAME | --check-config] [--verbose]\n"
    "Keep certificates fresh over EST (RFC 7030). It stays in the foreground.\n"
    "\n"
    "  -c, --config FILE  read FILE instead of $TPM2CLOUD_ESTD_CONF or " CONFIG_PATH "\n"
    "      --once NAME    enrol or renew the certificate NAME now, install it and end\n"
    "      --enroll NAME  the same, but enrol it as if there were none\n"
    "      --check-config read the configuration, say what it holds and end\n"
    "  -v, --verbose      log more\n"
    "      --version      print the version and end\n"
    "  -h, --help         print this and end\n"
    "\n"
    "It ends with 0 when done, 1 on failure, 2 on wrong usage. SIGHUP reads the configuration again.\n";

/* ---- options ---- */

enum { ONCE = 256, ENROLL, CHECK, VERSION };
static const struct option names[] = {{"config", required_argument, NULL, 'c'}, {"once", required_argument, NULL, ONCE},
    {"enroll", required_argument, NULL, ENROLL}, {"check-config", no_argument, NULL, CHECK},
    {"verbose", no_argument, NULL, 'v'}, {"version", no_argument, NULL, VERSION}, {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0}};

/* getopt has said what is wrong with WORD. */
static void print_hint(const char *word)
{
    const char *name = strncmp(word, "--", 2) == 0 ? word + 2 : "";
    struct t2c_nearest nearest = {.word = name, .word_len = strcspn(name, "=")};
    for (size_t i = 0; names[i].name != NULL; i++)
        t2c_nearest_offer(&nearest, names[i].name);
    if (nearest.found != NULL && nearest.distance > 0)
        fprintf(stderr, "Did you mean --%s? ", nearest.found);
    fputs("Try estd --help.\n", stderr);
}

/* Returns true to go on; else *status is what to exit with. */
static bool parse_options(int argc, char **argv, struct options *options, int *status)
{
    const char *named = t2c_conf_env("TPM2CLOUD_ESTD_CONF");
    *options = (struct options){.conf = named != NULL ? named : CONFIG_PATH};
    *status = EXIT_SUCCESS;
    for (int c; (c = getopt_long(argc, argv, "c:vh", names, NULL)) != -1;) {
        switch (c) {
        case 'c':
            options->conf = optarg;
            break;
        case ONCE:
        case ENROLL:
            options->once = optarg;
            options->anew = c == ENROLL;
            break;
        case CHECK:
            options->check_config = true;
            break;
        case 'v':
            options->verbose = true;
            break;
        case VERSION:
            printf("estd (tpm2cloud) %s, %s\n", PACKAGE_VERSION, curl_version());
            return false;
        case 'h':
            fputs(usage, stdout);
            return false;
        default:
            print_hint(argv[optind - 1]);
            *status = EXIT_USAGE;
            return false;
        }
    }
    if (optind == argc && !(options->once != NULL && options->check_config))
        return true;
    fprintf(stderr, "estd: %s\nTry estd --help.\n",
        optind < argc ? "there are no arguments beside options"
                      : "--check-config stands alone, without --once or --enroll");
    *status = EXIT_USAGE;
    return false;
}

/* When a certificate is renewed, as the configuration has it. */
static void window_text(const struct config_cert *cert, char *out, size_t out_len)
{
    const struct schedule_period *threshold = &cert->threshold;
    if (threshold->unit == SCHEDULE_UNSET)
        snprintf(out, out_len, "at %d-%d %% of its lifetime", cert->window.from, cert->window.to);
    else if (threshold->unit == SCHEDULE_PERCENT)
        snprintf(out, out_len, "at %" PRId64 " %% of its lifetime at the latest", threshold->value);
    else
        snprintf(out, out_len, "%" PRId64 " s before its end at the latest", threshold->value);
}

static void print_config(const struct config *config)
{
    char when[64];
    for (size_t i = 0; i < config_certs_n(config); i++) {
        const struct config_cert *cert = config_cert(config, i);
        window_text(cert, when, sizeof(when));
        printf("%s: %s, key %s, url %s, renewed %s\n", cert->name, cert->path, cert->key, cert->url, when);
        for (size_t t = 0; t < cert->targets_n; t++)
            printf("%s: installed as %s\n", cert->name, cert->targets[t].path);
    }
    printf("%zu certificate(s), state in %s: the configuration is good\n", config_certs_n(config),
        config_state_dir(config));
}

static int run(const struct options *options)
{
    struct t2c_error why = {0};
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    T2C_CLEANUP(t2c_closep) int lock = -1;
    bool ok = false;
    /* One mistake must not let all certificates of a device expire; a human who looks on is told at once. */
    bool daemon = options->once == NULL && !options->check_config;
    if (!config_load(options->conf, !daemon, &config, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
    else if (options->check_config) {
        print_config(config);
        ok = true;
    } else if (!daemon_lock(config_state_dir(config), &lock, &why) ||
        !serve(options->conf, config, options->once, options->anew, &ok, &why))
        t2c_log(T2C_LOG_ERROR, "%s", why.text);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void hide(void)
{
    struct t2c_error why = {0};
    if (!daemon_hide(&why))
        t2c_log(T2C_LOG_WARNING, "%s", why.text);
}

int main(int argc, char **argv)
{
    struct options options;
    int status = EXIT_SUCCESS;
    if (!parse_options(argc, argv, &options, &status))
        return status;
    enum t2c_level limit = options.once != NULL || options.check_config ? T2C_LOG_WARNING : T2C_LOG_NOTICE;
    t2c_log_open("estd", options.verbose ? T2C_LOG_DEBUG : limit);
    hide();
    unsetenv("SSLKEYLOGFILE"); /* libcurl would write the secrets of TLS there */
    signal(SIGPIPE, SIG_IGN);  /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    mallopt(M_MMAP_THRESHOLD, LARGE_LEN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        t2c_log(T2C_LOG_ERROR, "libcurl cannot start");
        return EXIT_FAILURE;
    }
    status = run(&options);
    curl_global_cleanup();
    return status;
}
