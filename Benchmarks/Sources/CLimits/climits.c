#define _GNU_SOURCE
#include "CLimits.h"
#include "CCRC32C.h"
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/// Stands for the state after log id and epoch id, which the log computes once.
static const uint32_t seed = 0x12345678u;

/// Header and payload of the frame at `lsn`, from `source` to `frame`.
static inline void make_frame(uint8_t *frame, uint8_t *source, size_t n, uint64_t lsn) {
    uint32_t length = (uint32_t)n;
    // First in the source, so that the checksum's first load is exactly this store.
    memcpy(source, &lsn, 8);
    memcpy(source + 8, &length, 4);
    uint32_t crc = walship_crc32c(seed, source, LIMITS_SOURCE_HEADER + n);
    memcpy(frame, &crc, 4);
    memcpy(frame + 4, &length, 4);
    memcpy(frame + LIMITS_FRAME_HEADER, source + LIMITS_SOURCE_HEADER, n);
}

int limits_pwrite_loop(int fd, uint8_t *source, uint8_t *frame, size_t n, size_t count) {
    size_t size = LIMITS_FRAME_HEADER + n;
    uint64_t lsn = 0;
    for (size_t i = 0; i < count; i++, lsn += size) {
        make_frame(frame, source, n, lsn);
        ssize_t written = pwrite(fd, frame, size, (off_t)lsn);
        if (written != (ssize_t)size) return written < 0 ? errno : EIO;
    }
    return 0;
}

void limits_copy_loop(uint8_t *target, uint8_t *source, size_t n, size_t count) {
    size_t size = LIMITS_FRAME_HEADER + n;
    uint64_t lsn = 0;
    for (size_t i = 0; i < count; i++, lsn += size) make_frame(target + lsn, source, n, lsn);
}

int limits_read_loop(int fd, uint8_t *buffer, size_t piece, uint64_t size, uint32_t *crc) {
    for (uint64_t at = 0; at < size;) {
        size_t want = size - at < piece ? (size_t)(size - at) : piece;
        ssize_t got = pread(fd, buffer, want, (off_t)at);
        if (got <= 0) return got < 0 ? errno : EIO;
        *crc = walship_crc32c(*crc, buffer, (size_t)got);
        at += (uint64_t)got;
    }
    return 0;
}

int limits_syncfs(int fd) { return syncfs(fd) == 0 ? 0 : errno; }

int64_t limits_file_system(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (int64_t)status.f_type : -1;
}

int limits_set_affinity(int pid, int processor, int without) {
    cpu_set_t set;
    if (sched_getaffinity(pid, sizeof set, &set) != 0) return errno;
    if (!without) {
        CPU_ZERO(&set);
        CPU_SET(processor, &set);
    } else if (CPU_COUNT(&set) > 1) {
        CPU_CLR(processor, &set);
    }
    return sched_setaffinity(pid, sizeof set, &set) == 0 ? 0 : errno;
}
