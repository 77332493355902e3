import Glibc

/// Limit (c): a frame of 136 bytes written with pwrite and flushed with fdatasync, one after another, into a file that is filled with durable zeros, so
/// that no flush has to write anything of the file system's own.
enum BarrierLimit {
    static let frameSize = 136

    /// The latency of each, in nanoseconds, after a warm-up.
    static func measure(count: Int, warmUp: Int, _ workplace: Workplace) throws -> [Double] {
        try workplace.withFresh("barrier") { path in
            let file = try File.make(path)
            try file.fillWithZeros(size: (count + warmUp) * frameSize + (1 << 20))
            let frame = [UInt8](repeating: 0x5A, count: frameSize)
            var latencies: [Double] = []
            latencies.reserveCapacity(count)
            for index in 0..<(warmUp + count) {
                let start = Clock.now()
                let written = frame.withUnsafeBytes { pwrite(file.descriptor, $0.baseAddress, frameSize, off_t(index * frameSize)) }
                guard written == frameSize else { throw BenchmarkError.system(call: "pwrite", path: path, errno: written < 0 ? errno : EIO) }
                guard fdatasync(file.descriptor) == 0 else { throw BenchmarkError.system(call: "fdatasync", path: path, errno: errno) }
                if index >= warmUp { latencies.append(Double(Clock.now() - start)) }
            }
            return latencies
        }
    }
}
