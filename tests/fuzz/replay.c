/* Runs a fuzz target over files: replay PATH..., each a file or a directory of
 * files. So the corpus is tested also where there is no libFuzzer. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { INPUT_MAX = 1 << 20 };

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *whole, *exact;
    size_t len;

    if (file == NULL) {
        perror(path);
        return -1;
    }
    whole = malloc(INPUT_MAX);
    len = whole != NULL ? fread(whole, 1, INPUT_MAX, file) : 0;
    fclose(file);
    /* exact size, so that AddressSanitizer sees a step past the end */
    exact = malloc(len > 0 ? len : 1);
    if (whole == NULL || exact == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        exact[i] = whole[i];
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    free(whole);
    return 1;
}

/* How many inputs ran, or -1. */
static int run(const char *path)
{
    struct stat st;
    int total = 0;
    DIR *dir;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return run_file(path);
    dir = opendir(path);
    if (dir == NULL)
        return -1;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char child[4096];
        int n = 0;

        if (e->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
        n = run(child);
        if (n < 0) {
            total = -1;
            break;
        }
        total += n;
    }
    closedir(dir);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        const int n = run(argv[i]);

        if (n < 0)
            return 1;
        total += n;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
