#ifndef WALSHIP_CCRC32C_H
#define WALSHIP_CCRC32C_H

// CRC-32C (Castagnoli: polynomial 0x1EDC6F41, reflected, initial value and final xor 0xFFFFFFFF), as in RFC 3720 §12.1.
//
// Why C: the crc32 and carry-less multiplication instructions have no Swift spelling, and are up to 15 times as fast as a
// table in Swift.

#include <stddef.h>
#include <stdint.h>

typedef uint32_t (*walship_crc32c_function)(uint32_t crc, const void *_Nullable data, size_t n);

/// The fastest implementation this processor has; set once, before `main`, by a constructor of priority 101.
extern walship_crc32c_function _Nonnull walship_crc32c_best;

/// The checksum of some bytes followed by the `n` bytes at `data`, given the checksum `crc` of the former (0 for none):
/// walship_crc32c(0, "123456789", 9) == 0xE3069283, and walship_crc32c(walship_crc32c(0, a), b) == walship_crc32c(0, ab).
/// Any alignment. Safe from any thread. `data` may be null when `n` is 0.
static inline uint32_t walship_crc32c(uint32_t crc, const void *_Nullable data, size_t n) {
    return walship_crc32c_best(crc, data, n);
}

/// The same checksum from tables alone (slicing by eight): what processors without the instructions use, and what tests
/// compare the instructions with.
uint32_t walship_crc32c_portable(uint32_t crc, const void *_Nullable data, size_t n);

/// Intact frames that lie one behind the other.
typedef struct {
    /// Bytes of all of them.
    size_t bytes;
    /// How many they are.
    size_t count;
    /// Where the last one begins, counted from the first; 0 when there is none.
    size_t last;
} walship_crc32c_run;

typedef walship_crc32c_run (*walship_crc32c_run_function)(
    uint32_t crc, const void *_Nullable data, size_t n, uint64_t position, uint32_t payload_max);

/// As `walship_crc32c_best`, for `walship_crc32c_verify`.
extern walship_crc32c_run_function _Nonnull walship_crc32c_run_best;

/// Walks the frames (docs/format/log.md §2: checksum, length with a flag in its highest bit, payload) in the `n` bytes at
/// `data`, from the first, which is the one at LSN `position`, to the first that does not verify, does not end within the `n` bytes or
/// has more than `payload_max` bytes of payload. `crc` is the checksum of what is hashed before each length. Reads nothing but the `n`
/// bytes. Any alignment. Safe from any thread.
///
/// Why a loop in C: the checksums of neighbouring short frames depend on nothing of each other, so the processor runs several side by
/// side, as long as no call lies in between.
static inline walship_crc32c_run walship_crc32c_verify(
    uint32_t crc, const void *_Nullable data, size_t n, uint64_t position, uint32_t payload_max
) {
    return walship_crc32c_run_best(crc, data, n, position, payload_max);
}

/// The same from tables alone; see `walship_crc32c_portable`.
walship_crc32c_run walship_crc32c_verify_portable(
    uint32_t crc, const void *_Nullable data, size_t n, uint64_t position, uint32_t payload_max);

/// "sse4.2", "armv8" or "portable": what `walship_crc32c` uses here.
const char *_Nonnull walship_crc32c_name(void);

#endif
