import CZstd

/// The sole owner of one zstd compression context; reusing it saves its allocations. One call at a time.
@safe struct ZstdCompressor: ~Copyable {
    private let context: OpaquePointer

    /// Nil where there is no memory for a context.
    init?() {
        guard let context = unsafe ZSTD_createCCtx() else { return nil }
        unsafe self.context = context
    }

    deinit {
        unsafe ZSTD_freeCCtx(context)
    }

    /// The most bytes that `count` raw bytes can compress to. C name: `ZSTD_compressBound`.
    static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// One frame with content checksum and content size (zstd_compression_format.md, "Frame_Header_Descriptor"); returns its
    /// size. ZSTD_compress2 knows the whole input, so it writes its size. C name: `ZSTD_compress2`.
    mutating func compress(
        _ raw: UnsafeRawBufferPointer, into frame: UnsafeMutableRawBufferPointer, level: Int
    ) throws(ZstdFailure) -> Int {
        // SAFETY: the context is ours alone; both buffers are valid for their counts during the calls.
        let settings = [(ZSTD_c_compressionLevel, Int32(level)), (ZSTD_c_checksumFlag, 1), (ZSTD_c_contentSizeFlag, 1)]
        for (parameter, value) in settings {
            _ = try unsafe ZstdFailure.check(ZSTD_CCtx_setParameter(context, parameter, value))
        }
        return try unsafe ZstdFailure.check(
            ZSTD_compress2(context, frame.baseAddress, frame.count, raw.baseAddress, raw.count))
    }
}

/// What zstd says went wrong.
struct ZstdFailure: Error, Hashable, CustomStringConvertible {
    let description: String

    /// Passes a size on, and throws where it is one of zstd's error codes.
    static func check(_ result: Int) throws(ZstdFailure) -> Int {
        guard ZSTD_isError(result) == 0 else {
            // SAFETY: ZSTD_getErrorName returns a string constant.
            throw unsafe ZstdFailure(description: String(cString: ZSTD_getErrorName(result)))
        }
        return result
    }
}
