import CZstd
import WAL

/// What a decoder of ours demands of a zstd frame before and while it decompresses it.
enum ZstdFrame {
    static let magic: UInt32 = 0xFD2F_B528
    /// The skippable frame that holds our metadata: one of the sixteen magics 0x184D2A50…5F that zstd reserves for users.
    static let skippableMagic: UInt32 = 0x184D_2A57
    static let skippableHeaderSize = 8
    /// Magic, descriptor, one byte of content size, one block header, checksum.
    static let sizeMin = 4 + 1 + 1 + 3 + 4
    /// Frame_Header_Descriptor is the byte after the magic; bit 2 is Content_Checksum_flag (RFC 8878, 3.1.1.1.1).
    private static let contentChecksumFlag: UInt8 = 1 << 2

    /// Decompresses `frame`, which must be exactly one ordinary frame with content checksum whose content is `size` bytes.
    /// Nothing larger than `size` is allocated, and nothing before the frame's own header agrees with it.
    /// C names: `ZSTD_getFrameContentSize`, `ZSTD_findFrameCompressedSize`, `ZSTD_decompress`.
    static func decompress(_ frame: UnsafeRawBufferPointer, size: Int, blocks: BlockPool) throws(ObjectFormatFailure) -> [UInt8] {
        guard frame.count >= sizeMin, unsafe UInt32(littleEndian: frame.loadUnaligned(as: UInt32.self)) == magic else {
            throw .damaged("no zstd frame after the metadata")
        }
        guard unsafe frame[4] & contentChecksumFlag != 0 else { throw .damaged("the zstd frame has no content checksum") }
        // SAFETY: all calls read only the `frame.count` bytes that are valid during this call.
        let declared = unsafe ZSTD_getFrameContentSize(frame.baseAddress, frame.count)
        guard walship_zstd_content_size_known(declared) == 1 else { throw .damaged("the zstd frame does not say its content size") }
        guard declared == UInt64(size) else {
            throw .damaged("the zstd frame holds \(declared) bytes, the range has \(size)")
        }
        do throws(ZstdFailure) {
            let length = try unsafe ZstdFailure.check(ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count))
            guard length == frame.count else { throw ZstdFailure(description: "\(frame.count - length) bytes follow the zstd frame") }
            var failure: ZstdFailure?
            let raw = unsafe blocks.array(capacity: size) { buffer, count in
                do throws(ZstdFailure) {
                    // SAFETY: zstd writes at most `size` bytes, the buffer's capacity, and says how many.
                    count = try unsafe ZstdFailure.check(
                        ZSTD_decompress(buffer.baseAddress, size, frame.baseAddress, frame.count))
                } catch {
                    count = 0
                    failure = error
                }
            }
            if let failure { throw failure }
            guard raw.count == size else { throw ZstdFailure(description: "\(raw.count) bytes came out instead of \(size)") }
            return raw
        } catch {
            throw .damaged("zstd: \(error)")
        }
    }
}
