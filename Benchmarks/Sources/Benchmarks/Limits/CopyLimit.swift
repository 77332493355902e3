import CLimits
import Glibc

/// Limit (b): the least that a log in mapped files has to do, which is to checksum a record and to copy it to memory that is not in the cache. One thread.
///
/// The file is on the same file system and as long as all that is appended; its pages are there and writable before the time begins.
enum CopyLimit {
    /// Nanoseconds a record.
    static func measure(_ load: AppendLoad, _ workplace: Workplace) throws -> Double {
        precondition(load.threads == 1, "measured with one thread")
        return try workplace.withFresh("copy") { path in
            let file = try File.make(path)
            let size = load.bytes
            let code = posix_fallocate(file.descriptor, 0, off_t(size))
            try file.check("posix_fallocate", code: code)
            // MAP_POPULATE of a shared writable mapping makes every page present and writable: mmap(2).
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.descriptor, 0)
            guard let memory, memory != MAP_FAILED else {
                throw BenchmarkError.system(call: "mmap", path: path, errno: errno)
            }
            defer { munmap(memory, size) }
            // Whatever populating leaves undone is done here; the last of it to be in the cache is the last to be overwritten.
            memset(memory, 0, size)
            nonisolated(unsafe) let target = memory.assumingMemoryBound(to: UInt8.self)
            let elapsed = try Gang.run(1) { _ in
                let source = FrameSource(payload: load.payload)
                limits_copy_loop(target, source.source, source.payloadCount, load.records)
            }
            return elapsed / Double(load.records)
        }
    }
}
