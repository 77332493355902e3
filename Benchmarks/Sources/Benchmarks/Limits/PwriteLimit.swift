import CLimits

/// Limit (a): what a careful program without a log does. A frame is built, and written with one pwrite to the end of a new file. Each thread has a
/// file of its own, so that they share nothing.
enum PwriteLimit {
    /// Writes `load` and removes it. Nanoseconds a record, over all threads together.
    static func measure(_ load: AppendLoad, _ workplace: Workplace) throws -> Double {
        try workplace.withFresh("pwrite") { path in
            let files = try (0..<load.threads).map { try File.make("\(path)-\($0)") }
            defer { for file in files { try? workplace.remove(file.path) } }
            let elapsed = try Gang.run(load.threads) { thread in
                let source = FrameSource(payload: load.payload)
                let code = limits_pwrite_loop(
                    files[thread].descriptor, source.source, source.frame, source.payloadCount, load.recordsPerThread)
                try files[thread].check("pwrite", code: code)
            }
            return elapsed / Double(load.records)
        }
    }
}
