// The algorithm shared by the instruction sets. The including file defines, before including this:
//   THREEWAY_TARGET           the function attribute that allows the instructions
//   threeway_crc64(s, w)      state s over the eight bytes of w
//   threeway_crc32/16/8(s, v) state s over four, two, one bytes
//   threeway_multiply(a, b)   carry-less product of two 32-bit numbers, 64 bits
//
// The CRC instruction takes three cycles but one can start every cycle: long inputs are cut into three streams of equal
// length that run side by side, and the two earlier states are moved over what follows them by a multiplication. Method:
// V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel, 2011.

/// Under this many bytes one stream is as fast: merging costs about as much as five dependent CRC instructions.
#define THREEWAY_MINIMUM 80

/// The state after the `n` bytes at `p`.
THREEWAY_TARGET static inline uint32_t threeway_update(uint32_t state, const uint8_t *p, size_t n) {
    while (n >= THREEWAY_MINIMUM) {
        size_t words = n / 24 < WALSHIP_CRC32C_STREAM_WORDS ? n / 24 : WALSHIP_CRC32C_STREAM_WORDS;
        const uint8_t *b = p + 8 * words, *c = b + 8 * words;
        uint32_t second = 0, third = 0;
        for (size_t i = 0; i < 8 * words; i += 8) {
            state = threeway_crc64(state, walship_crc32c_load64(p + i));
            second = threeway_crc64(second, walship_crc32c_load64(b + i));
            third = threeway_crc64(third, walship_crc32c_load64(c + i));
        }
        uint64_t moved = threeway_multiply(state, walship_crc32c_powers[2 * words])
            ^ threeway_multiply(second, walship_crc32c_powers[words]);
        state = threeway_crc64(0, moved) ^ third;
        p += 24 * words;
        n -= 24 * words;
    }
    for (; n >= 8; n -= 8, p += 8) state = threeway_crc64(state, walship_crc32c_load64(p));
    if (n & 4) {
        uint32_t value;
        memcpy(&value, p, sizeof value);
        state = threeway_crc32(state, value);
        p += 4;
    }
    if (n & 2) {
        uint16_t value;
        memcpy(&value, p, sizeof value);
        state = threeway_crc16(state, value);
        p += 2;
    }
    if (n & 1) state = threeway_crc8(state, *p);
    return state;
}

THREEWAY_TARGET static uint32_t walship_crc32c_threeway(uint32_t crc, const void *data, size_t n) {
    return ~threeway_update(~crc, data, n);
}
