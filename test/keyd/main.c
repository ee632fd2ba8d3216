/*
 * A stand-in for aziot-keyd: it finds and calls libaziot_keys as that does, and answers to its API on a unix socket.
 *
 *     AZIOT_KEYD_CONFIG=config.toml AZIOT_KEYD_CONFIG_DIR=config.d LD_LIBRARY_PATH=/usr/lib/tpm2cloud keyd [--2.0]
 *
 * The configuration is keyd's: [aziot_keys], [preloaded_keys], [[principal]], and where its debug builds listen,
 * [endpoints] aziot_keyd = "unix:///PATH". Without the variables it is in /etc/aziot/keyd, and the socket /run/aziot/keyd.sock.
 * --2.0: as if keyd knew no version of the library but that.
 *
 *     curl --unix-socket PATH 'http://keyd/keypair?api-version=2021-05-01' -d '{"keyId":"device-id"}'
 */
#include "config.h"
#include "library.h"
#include "serve.h"
#include "tpm2cloud/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG "/etc/aziot/keyd/config.toml"
#define CONFIG_DIR "/etc/aziot/keyd/config.d"

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? value : otherwise;
}

T2C_DEFINE_FREEP(json_freep, json_t, json_decref)

/* Gives a copy of VALUES in the order of the bytes of its names. */
static json_t *sorted(const json_t *values)
{
    T2C_CLEANUP(t2c_freep) char *text = json_dumps(values, JSON_SORT_KEYS);
    return text != NULL ? json_loads(text, 0, NULL) : NULL;
}

/* Sets what VALUES has, each with PREFIX in front of its name. */
static bool set_all(const json_t *values, const char *prefix, struct t2c_error *err)
{
    T2C_CLEANUP(json_freep) json_t *map = sorted(values);
    const char *name;
    json_t *value;
    json_object_foreach(map, name, value)
    {
        T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes full = {0};
        if (!t2c_bytes_printf(&full, err, "%s%s", prefix, name))
            return false;
        const struct library_call set = {
            .fn = LIBRARY_SET, .id = (const char *)full.data, .text = json_string_value(value)};
        if (!library_do(&set, err))
            return false;
    }
    return map != NULL || t2c_fail_nomem(err);
}

/* Answers until it is told to stop. SIGNALS are blocked, also for the threads that are started here. */
static bool serve(const struct config *config, const sigset_t *signals, struct t2c_error *err)
{
    int caught = 0;
    struct MHD_Daemon *daemon = serve_start(config, err);
    if (daemon == NULL)
        return false;
    sigwait(signals, &caught);
    serve_stop(daemon);
    unlink(config->socket);
    return true;
}

static bool run(bool old, struct t2c_error *err)
{
    T2C_CLEANUP(config_fini) struct config config = {0};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return config_read(from_environment("AZIOT_KEYD_CONFIG", CONFIG),
               from_environment("AZIOT_KEYD_CONFIG_DIR", CONFIG_DIR), &config, err) &&
        library_open(old, err) && set_all(config.parameters, "", err) &&
        set_all(config.preloaded, "preloaded_key:", err) && serve(&config, &signals, err);
}

int main(int argc, char **argv)
{
    struct t2c_error why = {0};
    bool old = argc == 2 && strcmp(argv[1], "--2.0") == 0;
    if (argc > 1 && !old) {
        fprintf(stderr, "usage: keyd [--2.0]\n");
        return 2;
    }
    t2c_log_open("keyd", T2C_LOG_INFO);
    if (run(old, &why))
        return 0;
    t2c_log(T2C_LOG_ERROR, "%s", why.text);
    return 1;
}
