/* SPDX-License-Identifier: MIT */

/* Where a program may be, by the rules of execvp(3), worked out before there is a process. */
#include "base/alloc.h"
#include "sys/spawn.h"

#include <stdlib.h>
#include <string.h>

static size_t count_of(const char *text, char c)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == c;
    return count;
}

/* Each folder of the list with the name behind it; an empty one is the present one. */
static char **spread(const char *name, const char *list)
{
    size_t count = count_of(list, ':') + 1;
    size_t text = strlen(list) + count * (strlen(name) + 3);
    char **paths = thi_alloc((count + 1) * sizeof *paths + text);
    if (!paths)
        return NULL;
    char *at = (char *)(paths + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(list, ":");
        paths[i] = at;
        at = mempcpy(at, len ? list : ".", len ? len : 1);
        *at++ = '/';
        at = stpcpy(at, name) + 1;
        list += len + (list[len] == ':');
    }
    paths[count] = NULL;
    return paths;
}

char **thi_spawn_find(const char *name)
{
    const char *list = getenv("PATH");
    if (*name && !strchr(name, '/'))
        return spread(name, list ? list : "/usr/bin:/bin");
    char **paths = thi_alloc(2 * sizeof *paths + strlen(name) + 1);
    if (!paths)
        return NULL;
    paths[0] = memcpy(paths + 2, name, strlen(name) + 1);
    paths[1] = NULL;
    return paths;
}
