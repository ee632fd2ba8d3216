/*
 * keyd's API of 2021-05-01: a request in, a status and JSON out. Without sockets.
 */
#ifndef KEYD_API_H
#define KEYD_API_H

#include "config.h"

struct request {
    const char *method, *path; /* the path as it came: with %2F for a slash in a key id */
    const char *api_version;   /* or NULL */
    const char *body;
    size_t body_len;
    uid_t uid;
};

/* Returns the HTTP status. Gives *answer, which the caller releases, or NULL. Logs what fails. */
unsigned api_answer(const struct config *config, const struct request *request, json_t **answer);

#endif
