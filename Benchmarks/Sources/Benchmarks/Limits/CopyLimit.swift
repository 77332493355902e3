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
            try file.fillWithZeros(size: size)
            let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor, 0)
            guard let memory, memory != MAP_FAILED else {
                throw BenchmarkError.system(call: "mmap", path: path, errno: errno)
            }
            defer { munmap(memory, size) }
            // A page of a shared mapping becomes writable when it is first written to; MAP_POPULATE does not write (mm/gup.c, populate_vma_page_range).
            // What of this stays in the processor's cache is the end, which is overwritten last.
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
