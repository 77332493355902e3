// The walk over frames, shared by the instruction sets and the tables. The including file defines, before including this:
//   RUN_NAME, RUN_TARGET      the function, and its attributes
//   run_word(state, word)     state over the eight bytes of `word`
//   run_field(state, value)   state over four bytes
//   run_long(state, p, n)     state over any number of bytes, worth calling from RUN_LONG bytes on

RUN_TARGET walship_crc32c_run RUN_NAME(uint32_t crc, const void *data, size_t n, uint64_t position, uint32_t payload_max) {
    const uint8_t *const start = data;
    const uint32_t seed = ~crc;
    walship_crc32c_run run = {0, 0, 0};
    size_t offset = 0;
    while (n - offset >= 8) {
        const uint64_t header = walship_crc32c_load64(start + offset);
        const uint32_t stored = (uint32_t)header, field = (uint32_t)(header >> 32);
        const size_t count = field & 0x7FFFFFFFu;
        if (count > payload_max || count > n - offset - 8) break;
        const uint8_t *p = start + offset + 8, *const end = p + count;
        uint32_t state = run_field(seed, field);
        if (count >= RUN_LONG) {
            state = run_long(state, p, count);
        } else {
            for (; end - p >= 8; p += 8) state = run_word(state, walship_crc32c_load64(p));
            // The last 0 to 7 bytes without a branch, which would be guessed wrongly where lengths vary: behind zeros, over which a
            // state of 0 stays 0. The eight bytes before `end` are the frame's own, as it has a header.
            const unsigned bits = 8 * (unsigned)(end - p);
            const uint64_t rest = ((uint64_t)state ^ (walship_crc32c_load64(end - 8) >> 1 >> (63 - bits))) << (63 - bits) << 1;
            state = run_word(0, rest) ^ (uint32_t)((uint64_t)state >> bits);
        }
        state = ~run_word(state, position + offset);
        // A computed 0 is stored as ones, so a stored 0 never verifies.
        if ((state != 0 ? state : 0xFFFFFFFFu) != stored) break;
        run.last = offset;
        run.count++;
        offset += 8 + count;
    }
    run.bytes = offset;
    return run;
}
