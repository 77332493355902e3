/// The figures of the demo, each with its unit and reason.
enum DemoLimits {
    /// Bytes. Segments small enough that a few hundred megabytes make dozens of them.
    static let segmentSize = 4 << 20
    /// Bytes. What is handed to the writer at a time.
    static let chunkSize = 256 << 10
    /// Chunks handed over at once just before the writer is killed.
    static let burst = 8
    /// Bytes. Larger text files are left out: one of them would be the whole demo.
    static let textFileMax = 32 << 20
    /// Bytes. A file without a zero byte in its beginning counts as text, as for grep(1).
    static let textProbe = 4096
    /// Bytes. What a child may say on standard error before it is not kept any more.
    static let wordsMax = 4 << 20
    /// Seconds to wait for the archive to have everything, after the last record.
    static let drainMax: Double = 60
    /// How often the watch looks, in milliseconds.
    static let watchInterval = 100
    /// Share of the text that has been handed over when each thing happens.
    static let writerDies = 0.3
    static let daemonDies = 0.5
    static let serverDies = 0.7
    /// Seconds for which they stay away.
    static let daemonAway: Double = 1
    static let serverAway: Double = 4
}
