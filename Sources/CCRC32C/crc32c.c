#include "crc32c_internal.h"

/// The polynomial 0x1EDC6F41 with its bits reversed.
#define POLYNOMIAL 0x82F63B78u

/// table[k][b] is the checksum state after byte b and k zero bytes.
static uint32_t table[8][256];
uint32_t walship_crc32c_powers[2 * WALSHIP_CRC32C_STREAM_WORDS + 1];

walship_crc32c_function walship_crc32c_best = walship_crc32c_portable;
walship_crc32c_run_function walship_crc32c_run_best = walship_crc32c_verify_portable;
static const char *best_name = "portable";

/// One state over eight bytes: slicing by eight (Kounavis and Berry, 2005).
static inline uint32_t update_word(uint32_t state, uint64_t word) {
    word ^= state;
    return table[7][word & 0xFF] ^ table[6][word >> 8 & 0xFF] ^ table[5][word >> 16 & 0xFF] ^ table[4][word >> 24 & 0xFF]
        ^ table[3][word >> 32 & 0xFF] ^ table[2][word >> 40 & 0xFF] ^ table[1][word >> 48 & 0xFF] ^ table[0][word >> 56];
}

static uint32_t update(uint32_t state, const uint8_t *p, size_t n) {
    for (; n >= 8; n -= 8, p += 8) state = update_word(state, walship_crc32c_load64(p));
    for (; n > 0; n--, p++) state = table[0][(state ^ *p) & 0xFF] ^ state >> 8;
    return state;
}

/// One state over four bytes.
static inline uint32_t update_field(uint32_t state, uint32_t value) {
    state ^= value;
    return table[3][state & 0xFF] ^ table[2][state >> 8 & 0xFF] ^ table[1][state >> 16 & 0xFF] ^ table[0][state >> 24];
}

uint32_t walship_crc32c_portable(uint32_t crc, const void *data, size_t n) { return ~update(~crc, data, n); }

#define RUN_NAME walship_crc32c_verify_portable
#define RUN_TARGET
#define RUN_LONG SIZE_MAX
#define run_word update_word
#define run_field update_field
#define run_long update

#include "crc32c_run.h"

const char *walship_crc32c_name(void) { return best_name; }

/// Fills the tables and picks the implementation. Runs before any thread but the first exists and before anything of Swift
/// runs, so that the hot path is one indirect call without a check.
__attribute__((constructor(101))) static void walship_crc32c_prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++) state = state >> 1 ^ (state & 1 ? POLYNOMIAL : 0);
        table[0][byte] = state;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 0xFF];

    // x^31 reflected is 1; one word of zeros multiplies a state by x^64.
    walship_crc32c_powers[1] = 1;
    for (int j = 2; j <= 2 * WALSHIP_CRC32C_STREAM_WORDS; j++)
        walship_crc32c_powers[j] = update_word(walship_crc32c_powers[j - 1], 0);

    walship_crc32c_implementation hardware = walship_crc32c_hardware();
    if (hardware.sum) {
        walship_crc32c_best = hardware.sum;
        walship_crc32c_run_best = hardware.run;
        best_name = hardware.name;
    }
}
