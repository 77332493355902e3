import CLimits

/// Which processors a thread may use: sched_setaffinity(2).
enum Affinity {
    /// The calling thread runs on `processor` only.
    static func pinThread(to processor: Int32) throws { try check(limits_set_affinity(0, processor, 0)) }

    /// The first thread of a process runs on other processors than `processor`, where there are any.
    static func keep(process: Int32, off processor: Int32) throws { try check(limits_set_affinity(process, processor, 1)) }

    private static func check(_ code: Int32) throws {
        if code != 0 { throw BenchmarkError.system(call: "sched_setaffinity", path: "", errno: code) }
    }
}
