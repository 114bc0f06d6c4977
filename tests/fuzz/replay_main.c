/* SPDX-License-Identifier: MIT */

/* Runs a fuzz target once over every file of a corpus, so that found inputs are ordinary tests. */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads to the exact size, so that a sanitizer sees the first byte past the input. */
static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    uint8_t *data = size >= 0 ? malloc(size > 0 ? (size_t)size : 1) : NULL;
    int failed = !data || fseek(file, 0, SEEK_SET) != 0 ||
                 fread(data, 1, (size_t)size, file) != (size_t)size;
    if (failed)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    else
        (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    if (file)
        fclose(file);
    return failed;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int count = argc == 2 ? scandir(argv[1], &entries, is_input, alphasort) : -1;
    int failed = 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        failed += replay(path);
        free(entries[i]);
    }
    free(entries);
    printf("%d inputs replayed, %d unreadable\n", count, failed);
    return count > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
