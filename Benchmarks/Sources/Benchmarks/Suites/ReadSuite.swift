import WAL

/// Reading a log that is in the page cache: verification and iteration, which checks every frame.
enum ReadSuite {
    static let benchmarks = [
        read("read-128", ShelvedLog(name: "log-of-128", size: 256 << 20, payloadCount: 128), timesRead: 0.6, timesReadOwned: 0.25),
        read("read-1K", ShelvedLog(name: "log-of-1K", size: 256 << 20, payloadCount: 1024), timesRead: 0.85, timesReadOwned: nil),
    ]

    private static func read(_ name: String, _ log: ShelvedLog, timesRead: Double, timesReadOwned: Double?) -> Benchmark {
        let verify = Series("verify", .bytesPerSecond)
        let iterate = Series("iterate", .bytesPerSecond)
        let sequence = Series("iterate, a record each", .bytesPerSecond)
        let owned = Series("iterate with copies", .bytesPerSecond)
        let raw = Series("pread of 1 MiB and checksum", .bytesPerSecond)
        var rows = [
            Row(name: "\(name)-verify/d", ours: verify, limit: .measured(raw, letter: "d"), threshold: .atLeast(timesRead)),
            Row(name: "\(name)-iterate/d", ours: iterate, limit: .measured(raw, letter: "d"), threshold: .atLeast(timesRead)),
        ]
        // The same through `Sequence`, whose elements each hold a reference to their buffer.
        rows.append(Row(name: "\(name)-sequence/d", ours: sequence, limit: .measured(raw, letter: "d"), threshold: .atLeast(timesRead)))
        if let timesReadOwned {
            rows.append(Row(name: "\(name)-iterate-owned/d", ours: owned, limit: .measured(raw, letter: "d"), threshold: .atLeast(timesReadOwned)))
        }
        return Benchmark(
            name, about: "a log of records of \(log.payloadCount) bytes is read from the page cache; bytes of log a second",
            probes: [
                Probe(verify) { try self.verify(log, $0) },
                // Lent, not copied; a byte of each is looked at, so that the loop is about something.
                Probe(iterate) { try self.visit(log, $0) },
                Probe(sequence) { workplace in
                    try self.iterate(log, workplace) { record in record.withBytes { $0.count + Int($0[0] & 1) } }
                },
                Probe(owned) { workplace in
                    try self.iterate(log, workplace) { record in
                        let data = record.data
                        return data.count + Int(data[0] & 1)
                    }
                },
                Probe(raw) { try ReadLimit.measure(log, $0) },
            ],
            rows: rows)
    }

    /// Opening with `.full`: every frame is verified before anything may be appended.
    private static func verify(_ log: ShelvedLog, _ workplace: Workplace) throws -> Double {
        let directory = try log.directory(workplace)
        var opened: SegmentedLog?
        let elapsed = try Clock.nanoseconds {
            opened = try SegmentedLog.open(directory: directory, configuration: LogConfiguration(verify: .full))
        }
        guard let opened else { throw BenchmarkError.notAsExpected("\(log.name) was not opened") }
        let length = opened.length
        try opened.close()
        return Double(length) / elapsed * 1e9
    }

    private static func visit(_ log: ShelvedLog, _ workplace: Workplace) throws -> Double {
        let opened = try SegmentedLog.open(directory: try log.directory(workplace))
        let length = opened.length
        var records = 0
        var total = 0
        let elapsed = try Clock.nanoseconds {
            try opened.iter().forEachRecord { _, bytes in
                total += bytes.byteCount + Int(bytes.unsafeLoad(as: UInt8.self) & 1)
                records += 1
            }
        }
        try opened.close()
        try check(log, length: length, records: records, total: total)
        return Double(length) / elapsed * 1e9
    }

    private static func iterate(_ log: ShelvedLog, _ workplace: Workplace, _ look: (Record) -> Int) throws -> Double {
        let opened = try SegmentedLog.open(directory: try log.directory(workplace))
        let length = opened.length
        var records = 0
        var total = 0
        let elapsed = try Clock.nanoseconds {
            for element in opened.iter() {
                total += look(try element.get())
                records += 1
            }
        }
        try opened.close()
        try check(log, length: length, records: records, total: total)
        return Double(length) / elapsed * 1e9
    }

    /// All of it was read. The looked-at byte is the same in all records.
    private static func check(_ log: ShelvedLog, length: UInt64, records: Int, total: Int) throws {
        guard UInt64(records * AppendLoad.frameSize(log.payloadCount)) == length, total >= records * log.payloadCount else {
            throw BenchmarkError.notAsExpected("\(records) records of \(log.name) were read, which is \(length) bytes long")
        }
    }
}
