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

/// "sse4.2", "armv8" or "portable": what `walship_crc32c` uses here.
const char *_Nonnull walship_crc32c_name(void);

#endif
