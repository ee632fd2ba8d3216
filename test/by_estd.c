/*
 * What has estd enrol a certificate, as provision drives it:
 *
 *     by_estd CONFIGURATION NAME [reload] [anew]
 *
 * prints how it ended.
 */
#include "../tools/enrolment.h"

#include <stdio.h>
#include <string.h>

static bool has(char **argv, const char *word)
{
    while (*argv != NULL && strcmp(*argv, word) != 0)
        argv++;
    return *argv != NULL;
}

int main(int argc, char **argv)
{
    T2C_CLEANUP(estd_place_fini) struct estd_place place = {0};
    char text[ENROLMENT_TEXT_MAX] = "";
    struct t2c_error err = {0};
    if (argc < 3)
        return 2;
    if (estd_find(argv[1], &place, &err) &&
        enrolment_by_estd(&place, argv[2], has(argv + 3, "reload"), has(argv + 3, "anew"), text, &err)) {
        puts(text);
        return 0;
    }
    fprintf(stderr, "by_estd: %s\n", err.text);
    return 1;
}
