import Foundation
import Glibc

/// What recovery has to do at least when a segment holds bytes past the last durable one: read it from the page cache, write it to a new file, flush that, rename it,
/// and flush the directory.
enum SegmentCopyLimit {
    /// A segment of the default size with its foot.
    static let size = (16 << 20) + 4096

    /// The median of five, in nanoseconds: what the file system does for a new file varies.
    static func measure(_ workplace: Workplace) throws -> Double {
        let source = try source(workplace)
        let directory = try File.open(toRead: workplace.path)
        return try (0..<5).map { _ in
            try workplace.settle()
            return try workplace.withFresh("segment.copy") { copy in
                try workplace.withFresh("segment.tmp") { temporary in
                    try Clock.nanoseconds {
                        try self.copy(source, to: temporary)
                        guard rename(temporary, copy) == 0 else { throw BenchmarkError.system(call: "rename", path: copy, errno: errno) }
                        try directory.sync()
                    }
                }
            }
        }.percentile(50)
    }

    /// Made once in a run, durable and in the page cache.
    private static func source(_ workplace: Workplace) throws -> File {
        let path = workplace.file("segment")
        if !FileManager.default.fileExists(atPath: path) {
            try File.make(path).fillWithZeros(size: size)
            try workplace.settle()
        }
        return try File.open(toRead: path)
    }

    private static func copy(_ source: File, to path: String) throws {
        let target = try File.make(path)
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        var at = 0
        while at < size {
            let want = min(piece.count, size - at)
            let got = piece.withUnsafeMutableBytes { pread(source.descriptor, $0.baseAddress, want, off_t(at)) }
            guard got == want else { throw BenchmarkError.system(call: "pread", path: source.path, errno: got < 0 ? errno : EIO) }
            let put = piece.withUnsafeBytes { pwrite(target.descriptor, $0.baseAddress, want, off_t(at)) }
            guard put == want else { throw BenchmarkError.system(call: "pwrite", path: path, errno: put < 0 ? errno : EIO) }
            at += want
        }
        guard fdatasync(target.descriptor) == 0 else { throw BenchmarkError.system(call: "fdatasync", path: path, errno: errno) }
    }
}
