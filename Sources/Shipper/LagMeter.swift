import WAL

/// For how long the oldest byte that is not archived has been durable. A value with a bounded number of samples; precise to one poll, and
/// coarser only when storage is away for long.
struct LagMeter: Sendable {
    private var samples: [(durable: LSN, at: UInt64)] = []

    /// At `now` (monotonic nanoseconds) the log was durable up to `durable` and archived up to `archived`. Returns the lag.
    mutating func note(durable: LSN, archived: LSN, now: UInt64) -> UInt64 {
        if durable > (samples.last?.durable ?? .zero) { samples.append((durable, now)) }
        // A sample covers the bytes up to its LSN: it is done with when they are archived.
        let done = samples.prefix { $0.durable <= archived }.count
        samples.removeFirst(done)
        if samples.count > ShipperLimits.lagSamplesMax {
            // The older of two neighbours goes with the time it stood for: the first stays, so the lag is never understated by much.
            samples = samples.enumerated().filter { $0.offset.isMultiple(of: 2) }.map(\.element)
        }
        guard let oldest = samples.first else { return 0 }
        return now - min(now, oldest.at)
    }
}
