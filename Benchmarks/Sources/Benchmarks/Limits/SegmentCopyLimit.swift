import Glibc

/// What recovery has to do at least when a segment holds bytes past the last durable one: read it from the page cache, write it to a new file, flush that, rename it,
/// and flush the directory.
enum SegmentCopyLimit {
    /// A segment of the default size with its foot.
    static let size = (16 << 20) + 4096

    /// Nanoseconds.
    static func measure(_ workplace: Workplace) throws -> Double {
        try workplace.withFresh("segment") { path in
            let source = try File.make(path)
            try source.fillWithZeros(size: size)
            return try workplace.withFresh("segment.tmp") { temporary in
                try workplace.withFresh("segment.copy") { copy in
                    var piece = [UInt8](repeating: 0, count: 1 << 20)
                    let directory = try File.open(toRead: workplace.path)
                    return try Clock.nanoseconds {
                        let target = try File.make(temporary)
                        var at = 0
                        while at < size {
                            let want = min(piece.count, size - at)
                            let got = piece.withUnsafeMutableBytes { pread(source.descriptor, $0.baseAddress, want, off_t(at)) }
                            guard got == want else { throw BenchmarkError.system(call: "pread", path: path, errno: got < 0 ? errno : EIO) }
                            let put = piece.withUnsafeBytes { pwrite(target.descriptor, $0.baseAddress, want, off_t(at)) }
                            guard put == want else { throw BenchmarkError.system(call: "pwrite", path: temporary, errno: put < 0 ? errno : EIO) }
                            at += want
                        }
                        guard fdatasync(target.descriptor) == 0 else { throw BenchmarkError.system(call: "fdatasync", path: temporary, errno: errno) }
                        guard rename(temporary, copy) == 0 else { throw BenchmarkError.system(call: "rename", path: copy, errno: errno) }
                        try directory.sync()
                    }
                }
            }
        }
    }
}
