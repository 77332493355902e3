#ifndef WALSHIP_CRC32C_INTERNAL_H
#define WALSHIP_CRC32C_INTERNAL_H

#include "CCRC32C.h"
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "walship reads eight bytes at a time as a little-endian number"
#endif

/// The longest of the three streams that the hardware implementations run side by side, in 8-byte words: 2 KiB. Longer
/// gains under 2 %; the table of powers grows with it.
#define WALSHIP_CRC32C_STREAM_WORDS 256

/// walship_crc32c_powers[j] is x^(64·j − 33) modulo the polynomial, bit-reflected, for j from 1: a carry-less product with
/// it, reduced by one CRC instruction (which multiplies by x^32; reflection adds one x), moves a checksum over j words.
extern uint32_t walship_crc32c_powers[2 * WALSHIP_CRC32C_STREAM_WORDS + 1];

/// An implementation, and how it is called.
typedef struct {
    walship_crc32c_function sum;
    walship_crc32c_run_function run;
    const char *name;
} walship_crc32c_implementation;

/// The implementation in instructions of this processor; of nulls when it lacks them.
walship_crc32c_implementation walship_crc32c_hardware(void);

static inline uint64_t walship_crc32c_load64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

#endif
