/// Writes the advisory commit-time index: at most one entry a second, into the file of the segment that holds the durable LSN.
///
/// Nothing rests on these files: they are not synced, what cannot be read of them is left out, and what cannot be written (a full disk)
/// is left out too, without an error that would stop the log.
struct TimeIndexWriter: Sendable {
    private let paths: LogPaths
    private let fileSystem: any FileSystem
    private let control: ControlFile
    private var logID: LogID { control.identity.logID }
    private var current: (index: UInt64, file: any File, encoder: TimeIndexEncoder, size: UInt64)?
    private var lastTime: UInt64 = 0
    private var lastLSN = LSN.zero

    init(paths: LogPaths, fileSystem: any FileSystem, control: ControlFile) {
        self.paths = paths
        self.fileSystem = fileSystem
        self.control = control
    }

    /// `durable` is durable at `now` (unix ns). One growing file keeps no index.
    mutating func note(_ durable: LSN, now: UInt64, windowSize: UInt64) {
        guard paths.singleFile == nil, durable > lastLSN else { return }
        // A clock that went back is noted as it is: a reader lists both candidates.
        guard now < lastTime || now - lastTime >= LogLimits.timeIndexInterval else { return }
        // The durable LSN is the end of what it covers: the segment of the last byte.
        let index = (durable.rawValue - 1) / windowSize
        lastTime = now
        lastLSN = durable
        do throws(WALError) {
            if current?.index != index { try open(index) }
            guard var current else { return }
            let bytes = current.encoder.append(TimeEntry(nanoseconds: now, lsn: durable))
            try current.file.write(bytes, at: current.size)
            current.size += UInt64(bytes.count)
            self.current = current
        } catch {
            // A part of the entry may stand there: opened again, the file is cut behind its last intact entry.
            current?.file.close()
            current = nil
        }
    }

    /// Removes the entries above `end`, durably: what they speak of was cut off, and other records take those LSNs. A file that means nothing stays.
    static func cut(
        _ paths: LogPaths, _ fileSystem: any FileSystem, logID: LogID, windowSize: UInt64, to end: LSN
    ) throws(WALError) {
        guard end > .zero else { return }
        let index = (end.rawValue - 1) / windowSize
        guard let size = try fileSystem.status(paths.times(index))?.size else { return }
        let file = try fileSystem.open(paths.times(index), .readWrite)
        defer { file.close() }
        let bytes = try file.bytes(at: 0, count: Int(min(size, UInt64(FormatLimits.timesFileMax))))
        guard let decoded = try? TimeIndexDecoder.decode(bytes, expecting: logID, index: index) else { return }
        let kept = decoded.entries.prefix { $0.lsn <= end }
        guard kept.count < decoded.entries.count else { return }
        var encoder = TimeIndexEncoder(logID: logID, index: index)
        let count = kept.reduce(TimeIndexEncoder.headerSize) { $0 + encoder.append($1).count }
        try file.truncate(to: UInt64(count))
        try file.sync()
    }

    private mutating func open(_ index: UInt64) throws(WALError) {
        current?.file.close()
        current = nil
        try control.requireStillThere()
        let file = try fileSystem.open(paths.times(index), .createIfAbsent)
        let existing = try file.bytes(at: 0, count: Int(min(try file.status().size, UInt64(FormatLimits.timesFileMax))))
        if let decoded = try? TimeIndexDecoder.decode(existing, expecting: logID, index: index), decoded.validCount > 0 {
            let encoder = TimeIndexEncoder(logID: logID, index: index, resumingAfter: decoded.entries.last)
            // What follows the last intact entry is overwritten, and what is longer than that is cut.
            try file.truncate(to: UInt64(decoded.validCount))
            current = (index, file, encoder, UInt64(decoded.validCount))
        } else {
            let encoder = TimeIndexEncoder(logID: logID, index: index)
            try file.truncate(to: 0)
            try file.write(encoder.header, at: 0)
            current = (index, file, encoder, UInt64(TimeIndexEncoder.headerSize))
        }
    }
}
