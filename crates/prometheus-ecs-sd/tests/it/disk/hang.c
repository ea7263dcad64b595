/* A disk that hangs: no directory can be made while there is the file that HANG names. Loaded before the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int mkdir(const char *path, mode_t mode) {
    int (*next)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
    const char *hang = getenv("HANG");
    while (hang && access(hang, F_OK) == 0)
        usleep(10000);
    return next(path, mode);
}
