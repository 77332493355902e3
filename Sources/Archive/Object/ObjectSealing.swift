internal import Crypto
import FoundationEssentials

/// The encryption of an object's content: AES-256-GCM in pieces, each with its number and whether it is the last in its nonce, and all with the metadata as associated data.
///
/// A piece that was moved, left out, cut off behind or taken from another object does not open: the number, the last-piece mark or the object's own key is another. Stateless.
enum ObjectSealing {
    /// Bytes of content in each piece but the last, which has 1 up to as many.
    static let pieceSize = 64 * 1024
    /// Bytes that a piece grows by.
    static let tagSize = 16
    static let saltSize = 32

    /// Bytes that `count` bytes of content take when sealed.
    static func sealedSize(_ count: Int) -> Int {
        precondition(count > 0, "an object without content")
        return count + tagSize * ((count + pieceSize - 1) / pieceSize)
    }

    /// Bytes of content in `count` sealed bytes; nil where no content gives so many.
    static func openedSize(_ count: Int) -> Int? {
        let pieces = (count + pieceSize + tagSize - 1) / (pieceSize + tagSize)
        let opened = count - tagSize * pieces
        return opened > 0 && sealedSize(opened) == count ? opened : nil
    }

    /// What every piece is bound to: SHA-256 of the metadata frame, both checksums taken as zero.
    static func associatedData(metadataFrame: some Sequence<UInt8>) -> [UInt8] {
        var frame = Array(metadataFrame)
        let checksums = ZstdFrame.skippableHeaderSize + ObjectMetadataFormat.checksumOffset
        frame.storeLittleEndian(0, at: checksums)
        frame.storeLittleEndian(0, at: checksums + 4)
        return Array(SHA256.hash(data: frame))
    }

    /// Seals the content that lies in `bytes` at `content`, piece after piece, to `offset`, where it may overlap what was sealed already, and ends the array after it.
    /// Each piece has to end, sealed, before the next piece's content begins.
    static func seal(
        _ bytes: inout [UInt8], _ content: Range<Int>, to offset: Int, key: SymmetricKey, associatedData: [UInt8]
    ) throws(ArchiveError) {
        precondition(offset + sealedSize(content.count) <= content.upperBound, "sealing would overwrite what is still to be sealed")
        var output = offset
        var piece: UInt64 = 0
        var start = content.lowerBound
        while start < content.upperBound {
            let end = min(start + pieceSize, content.upperBound)
            do {
                let box = try AES.GCM.seal(
                    bytes[start..<end], using: key, nonce: nonce(piece, isLast: end == content.upperBound), authenticating: associatedData)
                output = copy(box.ciphertext, into: &bytes, at: output)
                output = copy(box.tag, into: &bytes, at: output)
            } catch {
                throw ArchiveError(.invalid, "the object could not be encrypted: \(error)")
            }
            start = end
            piece += 1
        }
        bytes.removeLast(bytes.count - output)
    }

    /// The content of sealed bytes. `.damaged` where a single bit is not as it was sealed.
    static func open(_ sealed: ArraySlice<UInt8>, key: SymmetricKey, associatedData: [UInt8]) throws(ObjectFormatFailure) -> [UInt8] {
        guard let size = openedSize(sealed.count) else { throw .damaged("\(sealed.count) bytes are no whole pieces of encrypted content") }
        var content = [UInt8](repeating: 0, count: size)
        var start = sealed.startIndex
        var output = 0
        var piece: UInt64 = 0
        while start < sealed.endIndex {
            let end = min(start + pieceSize + tagSize, sealed.endIndex)
            do {
                let box = try AES.GCM.SealedBox(
                    nonce: nonce(piece, isLast: end == sealed.endIndex), ciphertext: sealed[start..<(end - tagSize)], tag: sealed[(end - tagSize)..<end])
                output = copy(try AES.GCM.open(box, using: key, authenticating: associatedData), into: &content, at: output)
            } catch {
                throw .damaged("piece \(piece) of its encrypted content does not open: it, or the metadata, is not what was sealed with this key")
            }
            start = end
            piece += 1
        }
        return content
    }

    /// Eleven bytes of the piece's number, big-endian, and one that is 1 for the last piece and 0 for others.
    private static func nonce(_ piece: UInt64, isLast: Bool) throws -> AES.GCM.Nonce {
        var bytes: [UInt8] = [0, 0, 0]
        bytes.appendBigEndian(piece)
        bytes.append(isLast ? 1 : 0)
        return try AES.GCM.Nonce(data: bytes)
    }

    /// Returns where what was copied ends.
    private static func copy(_ data: Data, into bytes: inout [UInt8], at offset: Int) -> Int {
        // SAFETY: the slice traps where the bytes do not fit; `copyBytes` writes no more than it is given room for.
        unsafe bytes.withUnsafeMutableBytes { buffer in
            _ = unsafe data.copyBytes(to: UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + data.count)]))
        }
        return offset + data.count
    }
}
