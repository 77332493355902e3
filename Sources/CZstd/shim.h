#include <zstd.h>

/* Swift does not import macros that contain casts, so the two "no size" answers of ZSTD_getFrameContentSize get a name. */
static inline int walship_zstd_content_size_known(unsigned long long size) {
    return size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR;
}
