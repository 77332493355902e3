#if defined(__aarch64__)
#include "crc32c_internal.h"
#include <arm_acle.h>
#include <arm_neon.h>
#include <sys/auxv.h>

// Bits of AT_HWCAP: Linux, arch/arm64/include/uapi/asm/hwcap.h.
#define HARDWARE_PMULL (1ul << 4)
#define HARDWARE_CRC32 (1ul << 7)

#define THREEWAY_TARGET __attribute__((target("crc,aes")))

THREEWAY_TARGET static inline uint32_t threeway_crc64(uint32_t state, uint64_t word) { return __crc32cd(state, word); }
THREEWAY_TARGET static inline uint32_t threeway_crc32(uint32_t state, uint32_t value) { return __crc32cw(state, value); }
THREEWAY_TARGET static inline uint32_t threeway_crc16(uint32_t state, uint16_t value) { return __crc32ch(state, value); }
THREEWAY_TARGET static inline uint32_t threeway_crc8(uint32_t state, uint8_t value) { return __crc32cb(state, value); }
THREEWAY_TARGET static inline uint64_t threeway_multiply(uint32_t a, uint32_t b) {
    return vgetq_lane_u64(vreinterpretq_u64_p128(vmull_p64((poly64_t)a, (poly64_t)b)), 0);
}

#include "crc32c_threeway.h"

walship_crc32c_function walship_crc32c_hardware(const char **name) {
    unsigned long available = getauxval(AT_HWCAP);
    if (!(available & HARDWARE_CRC32)) return NULL;
    if (!(available & HARDWARE_PMULL)) return NULL;
    *name = "armv8";
    return walship_crc32c_threeway;
}
#endif
