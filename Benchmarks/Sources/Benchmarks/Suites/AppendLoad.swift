/// What is appended in one repetition, by the log and by its limits alike.
struct AppendLoad: Sendable {
    let threads: Int
    let payload: [UInt8]
    let recordsPerThread: Int

    /// Frames of `payloadCount` bytes with their header fill `volume` bytes, from all threads together.
    init(payloadCount: Int, threads: Int, volume: Int) {
        precondition(payloadCount > 0, "a record has a byte")
        self.threads = threads
        // Nothing that a compressor or a checksum could profit from.
        var generator = SeededGenerator(seed: UInt64(payloadCount))
        payload = (0..<payloadCount).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        recordsPerThread = volume / AppendLoad.frameSize(payloadCount) / threads
    }

    var records: Int { recordsPerThread * threads }
    /// Headers included.
    var bytes: Int { records * AppendLoad.frameSize(payload.count) }

    /// docs/format/log.md: a header of eight bytes.
    static func frameSize(_ payloadCount: Int) -> Int { 8 + payloadCount }
}
