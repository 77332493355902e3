#if !defined(__x86_64__) && !defined(__aarch64__)
#include "crc32c_internal.h"

walship_crc32c_implementation walship_crc32c_hardware(void) {
    return (walship_crc32c_implementation){NULL, NULL, NULL};
}
#endif
