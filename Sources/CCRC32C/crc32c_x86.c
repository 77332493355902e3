#if defined(__x86_64__)
#include "crc32c_internal.h"
#include <nmmintrin.h>
#include <wmmintrin.h>

#define THREEWAY_TARGET __attribute__((target("sse4.2,pclmul")))

THREEWAY_TARGET static inline uint32_t threeway_crc64(uint32_t state, uint64_t word) {
    return (uint32_t)_mm_crc32_u64(state, word);
}
THREEWAY_TARGET static inline uint32_t threeway_crc32(uint32_t state, uint32_t value) { return _mm_crc32_u32(state, value); }
THREEWAY_TARGET static inline uint32_t threeway_crc16(uint32_t state, uint16_t value) { return _mm_crc32_u16(state, value); }
THREEWAY_TARGET static inline uint32_t threeway_crc8(uint32_t state, uint8_t value) { return _mm_crc32_u8(state, value); }
THREEWAY_TARGET static inline uint64_t threeway_multiply(uint32_t a, uint32_t b) {
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
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
    // A constructor may run before the compiler's own, which fills what __builtin_cpu_supports reads.
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.2")) return none;
    if (!__builtin_cpu_supports("pclmul")) return none;
    return (walship_crc32c_implementation){walship_crc32c_threeway, walship_crc32c_run_hardware, "sse4.2"};
}
#endif
