/* Certificates that are refused; see refused.h. */
#include "refused.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "issue.h"
#include "own.h"

int refused_number(const char *path, const X509 *cert)
{
    struct fail unused;
    OWN(bytes_fini) struct bytes text = {0};
    OWN(bytes_fini) struct bytes serial = {0};
    if (path == NULL || cert == NULL || !file_exists(path) || !file_read(path, &text, &unused))
        return 0;
    issue_add_serial(&serial, cert);
    for (const char *line = (const char *)text.p; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncasecmp(line, (const char *)serial.p, serial.len) == 0 && line[serial.len] == ' ')
            return atoi(line + serial.len);
    return 0;
}
