/*
 * tpm2cloud-deploy: root's part of installing certificates, once. systemd starts it when estd asks (tpm2cloud-deploy.path). It
 * knows no network, no key and no TPM.
 */
#include "deploy.h"
#include "tpm2cloud/conf.h"
#include "tpm2cloud/log.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void print_usage(FILE *to)
{
    fputs("tpm2cloud-deploy [-c FILE]\n"
          "    Install the certificates that estd asks root to install (deploy = yes), restart their units and run "
          "their\n"
          "    commands. What is done already is not done again. Exits with 1 when something failed; estd asks again.\n"
          "    -c, --config FILE  the configuration (" CONFIG_PATH "), which only root may be able to change\n"
          "    -h, --help         print this and end\n",
        to);
}

/* Gives: *conf, NULL when there is nothing more to do, and *status. */
static void parse_options(int argc, char **argv, const char **conf, int *status)
{
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    *conf = CONFIG_PATH;
    *status = EXIT_SUCCESS;
    for (int option; (option = getopt_long(argc, argv, "c:h", names, NULL)) != -1;) {
        if (option == 'c') {
            *conf = optarg;
            continue;
        }
        *conf = NULL;
        *status = option == 'h' ? EXIT_SUCCESS : 2;
        print_usage(option == 'h' ? stdout : stderr);
        return;
    }
    if (optind < argc) {
        *conf = NULL;
        *status = 2;
        print_usage(stderr);
    }
}

static bool run(const char *path, size_t *failed, struct t2c_error *err)
{
    T2C_CLEANUP(config_unrefp) struct config *config = NULL;
    T2C_CLEANUP(t2c_settings_fini) struct t2c_settings settings = {0};
    return t2c_settings_load(&settings, err) && config_load(path, false, &config, err) &&
        deploy_check_config(path, config, err) && deploy_all(config, settings.systemctl, failed, err);
}

int main(int argc, char **argv)
{
    struct t2c_error why = {0};
    const char *path = NULL;
    size_t failed = 0;
    int status = EXIT_SUCCESS;
    parse_options(argc, argv, &path, &status);
    if (path == NULL)
        return status;
    t2c_log_open("tpm2cloud-deploy", T2C_LOG_NOTICE);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    if (chdir("/") == 0 && run(path, &failed, &why))
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    t2c_log(T2C_LOG_ERROR, "%s", why.text);
    return EXIT_FAILURE;
}
