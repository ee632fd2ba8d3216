/*
 * Whole processes: in each round every command once, in another order each time; the first command is the yardstick.
 */
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define COMMANDS_MAX 8

extern char **environ;

struct command {
    const char *id;
    char **argv;
    struct figures figures;
    double wall, cpu; /* of this round */
};

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void run(struct command *command)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = 0;
    struct rusage usage;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double before = now_s();
    if (posix_spawnp(&pid, command->argv[0], &actions, NULL, command->argv, environ) != 0 ||
        wait4(pid, &status, 0, &usage) != pid || status != 0) {
        fprintf(stderr, "measure: %s failed: %s\n", command->id, command->argv[0]);
        exit(1);
    }
    command->wall = now_s() - before;
    command->cpu = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
    posix_spawn_file_actions_destroy(&actions);
}

/* Splits "-- ID COMMAND... -- ID COMMAND..." in place. */
static size_t parse(char **argv, struct command *commands)
{
    size_t n = 0;
    for (; *argv != NULL && strcmp(*argv, "--") == 0 && argv[1] != NULL && argv[2] != NULL && n < COMMANDS_MAX; n++) {
        *argv = NULL;
        commands[n] = (struct command){.id = argv[1], .argv = argv + 2};
        argv += 2;
        while (*argv != NULL && strcmp(*argv, "--") != 0)
            argv++;
    }
    return n;
}

int cold_main(const struct setup *setup, size_t rounds, char **argv)
{
    struct command commands[COMMANDS_MAX];
    size_t order[COMMANDS_MAX], n = parse(argv, commands);
    if (n == 0 || rounds == 0)
        return 2;
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        figures_init(&commands[i].figures, rounds);
    }
    for (size_t round = 0; round < rounds; round++) {
        shuffle(order, n);
        for (size_t i = 0; i < n; i++) {
            run(&commands[order[i]]);
            tss_flush_all(setup->tcti);
        }
        for (size_t i = 0; i < n; i++)
            figures_add(&commands[i].figures, commands[i].wall, commands[0].wall, commands[i].cpu);
    }
    for (size_t i = 0; i < n; i++) {
        figures_print(commands[i].id, &commands[i].figures);
        figures_fini(&commands[i].figures);
    }
    return 0;
}

int cold_count_main(const struct setup *setup, char **argv)
{
    struct command commands[COMMANDS_MAX];
    size_t n = parse(argv, commands);
    for (size_t i = 0; i < n; i++) {
        struct traffic before = traffic_read();
        run(&commands[i]);
        traffic_print(commands[i].id, &before, 1);
        tss_flush_all(setup->tcti);
    }
    return n > 0 ? 0 : 2;
}
