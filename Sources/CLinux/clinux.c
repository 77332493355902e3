// _GNU_SOURCE stays out of the header: a Swift importer would otherwise see other declarations than Glibc's.
#define _GNU_SOURCE
#include "CLinux.h"

#include <sys/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "walship needs 64-bit file offsets");

int walship_fallocate(int descriptor, uint64_t offset, uint64_t length) {
    return fallocate(descriptor, 0, (off_t)offset, (off_t)length) == 0 ? 0 : errno;
}

/// l_pid must be 0 for open-file-description locks (fcntl(2)).
static struct flock one_byte(short type, uint64_t byte) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1, .l_pid = 0};
}

int walship_lock_byte(int descriptor, uint64_t byte, bool exclusive) {
    struct flock lock = one_byte(exclusive ? F_WRLCK : F_RDLCK, byte);
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

int walship_unlock_byte(int descriptor, uint64_t byte) {
    struct flock lock = one_byte(F_UNLCK, byte);
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

int walship_probe_byte(int descriptor, uint64_t byte, bool *locked) {
    struct flock lock = one_byte(F_WRLCK, byte);
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return errno;
    *locked = lock.l_type != F_UNLCK;
    return 0;
}

int walship_futex_wait(const uint32_t *word, uint32_t expected, uint64_t timeout) {
    struct timespec limit = {.tv_sec = (time_t)(timeout / 1000000000), .tv_nsec = (long)(timeout % 1000000000)};
    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &limit, NULL, 0) == 0 ? 0 : errno;
}

void walship_futex_wake(const uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void walship_set_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
