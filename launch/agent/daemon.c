/* Commands for a node's daemon: which are ones, and where they call home. */
#include "launch/agent/daemon.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is it NAME=VALUE, or export NAME, as mpirun writes before its daemon so that
 * it is found? Nothing else runs here. */
static bool is_setting(const char *command, size_t len)
{
    static const char export[] = "export ";
    size_t name, end = len;
    bool exported;

    while (end > 0 && strchr(" \t", command[end - 1]) != NULL)
        end--;
    while (end > 0 && strchr(" \t", command[0]) != NULL)
        command++, end--;
    exported = end > sizeof(export) - 1 &&
               strncmp(command, export, sizeof(export) - 1) == 0;
    if (exported) {
        command += sizeof(export) - 1;
        end -= sizeof(export) - 1;
    }
    name = strspn(command, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    if (name == 0 || name > end)
        return false;
    return (name == end && exported) ||
           (command[name] == '=' && strcspn(command, " \t") >= end);
}

/* The last command of a `;`-joined list, quotes hide a `;`. NULL: there is
 * something before it that is no setting. */
static const char *last_command(const char *command)
{
    const char *start = command;
    char quote = 0;

    for (const char *p = command; *p; p++) {
        if (quote != 0) {
            quote = *p == quote ? 0 : quote;
        } else if (*p == '"' || *p == '\'') {
            quote = *p;
        } else if (*p == ';') {
            if (!is_setting(start, (size_t)(p - start)))
                return NULL;
            start = p + 1;
        }
    }
    return start;
}

/* For a user whose shell is a plain sh, mpirun has it read the profile first.
 * Here is no login: the command is taken out of that. */
static char *unwrap(char *command)
{
    static const char before[] = "( test ! -r ./.profile || . ./.profile;";
    size_t len = strlen(command);

    if (strncmp(command, before, sizeof(before) - 1) != 0)
        return command;
    while (len > 0 && command[len - 1] == ' ')
        len--;
    if (len == 0 || command[len - 1] != ')')
        return command;
    command[len - 1] = 0;
    return command + sizeof(before) - 1;
}

const char *ipmpi_daemon_command(char *command)
{
    const char *bare = unwrap(command);
    const char *word = last_command(bare), *base;
    size_t len;

    if (word == NULL)
        return NULL;
    word += strspn(word, " \t");
    len = strcspn(word, " \t");
    base = word;
    for (const char *p = word; p < word + len; p++)
        if (*p == '/')
            base = p + 1;
    len -= (size_t)(base - word);
    if (len != 5 ||
        (strncmp(base, "orted", 5) != 0 && strncmp(base, "prted", 5) != 0))
        return NULL;
    if (strpbrk(bare, "`|&<>\n") != NULL || strstr(bare, "$(") != NULL)
        return NULL;
    return bare;
}

char *ipmpi_daemon_detour(const char *command, uint16_t *port_out)
{
    const char *uri = strstr(command, "rte_hnp_uri"); /* orte, prte */
    const char *from = uri != NULL ? strstr(uri, "tcp://") : NULL;
    const char *colon = from != NULL ? strchr(from + 6, ':') : NULL;
    char *end, *text;
    size_t masks;
    long port;

    if (colon == NULL || strcspn(from, " \"';") < (size_t)(colon - from))
        return NULL;
    port = strtol(colon + 1, &end, 10);
    if (port <= 0 || port > UINT16_MAX)
        return NULL;
    masks = strcspn(end, ";\" ");
    if (asprintf(&text, "%.*s" IPMPI_WAY_HOME "%.*s%s", (int)(from - command),
                 command, (int)masks, end,
                 end + strcspn(end, "\" ")) < 0) /* no tcp6://.. beside it */
        return NULL;
    *port_out = (uint16_t)port;
    return text;
}
