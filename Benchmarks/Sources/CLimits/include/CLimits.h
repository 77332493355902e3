#ifndef WALSHIP_CLIMITS_H
#define WALSHIP_CLIMITS_H

// What the log is compared with: the same bytes checksummed, copied, written or read, and nothing else.
//
// Why C: a limit must not pay for anything that the log could avoid, not even for a bounds check.

#include <stddef.h>
#include <stdint.h>

/// Bytes of a source before its payload: the 8 of the LSN and the 4 of the length field. A frame's checksum covers these 12 and the payload;
/// here they lie side by side, so that one call hashes them all.
#define LIMITS_SOURCE_HEADER 12
/// Bytes of a frame before its payload.
#define LIMITS_FRAME_HEADER 8

/// Limit (a): builds `count` frames one after another (checksum, header, copy) in `frame` and writes each with one pwrite, at ascending offsets from 0.
/// `source` is LIMITS_SOURCE_HEADER + n bytes, `frame` LIMITS_FRAME_HEADER + n. Returns 0, or the errno of the write that failed.
int limits_pwrite_loop(int fd, uint8_t *_Nonnull source, uint8_t *_Nonnull frame, size_t n, size_t count);

/// Limit (b): builds `count` frames in place, one behind the other from `target` on.
void limits_copy_loop(uint8_t *_Nonnull target, uint8_t *_Nonnull source, size_t n, size_t count);

/// Limit (d): reads the first `size` bytes of a file in pieces of `piece` bytes and checksums each. Returns 0, or the errno of the read that failed;
/// EIO where the file is shorter. `crc` is the checksum so far, going in and coming out, so that nothing can be left out.
int limits_read_loop(int fd, uint8_t *_Nonnull buffer, size_t piece, uint64_t size, uint32_t *_Nonnull crc);

/// Writes all of the file system that `fd` lies on: Linux's syncfs, which Swift's Glibc does not show. Returns 0 or errno.
int limits_syncfs(int fd);

/// The magic number of the file system that `path` lies on: Linux's statfs, likewise. -1 where that cannot be told.
int64_t limits_file_system(const char *_Nonnull path);

/// Lets the thread `pid` (0: the caller) run on `processor` only, or, with `without`, on all that it may use but that one (where there is another). Returns 0 or errno.
/// Linux's sched_setaffinity, whose sets are macros of C.
int limits_set_affinity(int pid, int processor, int without);

#endif
