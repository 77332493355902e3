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

#define RUN_NAME walship_crc32c_run_hardware
#define RUN_TARGET THREEWAY_TARGET static
#define RUN_LONG 512
#define run_word threeway_crc64
#define run_field threeway_crc32
#define run_long threeway_update

#include "crc32c_run.h"

walship_crc32c_implementation walship_crc32c_hardware(void) {
    const walship_crc32c_implementation none = {NULL, NULL, NULL};
    unsigned long available = getauxval(AT_HWCAP);
    if (!(available & HARDWARE_CRC32)) return none;
    if (!(available & HARDWARE_PMULL)) return none;
    return (walship_crc32c_implementation){walship_crc32c_threeway, walship_crc32c_run_hardware, "armv8"};
}
#endif
