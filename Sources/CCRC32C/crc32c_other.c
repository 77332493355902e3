#if !defined(__x86_64__) && !defined(__aarch64__)
#include "crc32c_internal.h"

walship_crc32c_function walship_crc32c_hardware(const char **name) {
    (void)name;
    return NULL;
}
#endif
