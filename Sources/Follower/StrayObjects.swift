import Archive
import WAL

/// Objects that readers of the newest line do not come to: what an epoch archived past the point where the next one took over, and epochs that were left behind. Nobody
/// needs them to restore the log; they are what is left of records that were given up with a promotion.
///
/// Found by listing; a store that cannot list has none, as far as anybody can tell.
struct StrayObjects: CopyFeed, Sendable {
    private let access: ArchiveAccess
    private let log: LogDocument
    private var found: [(identity: ObjectIdentity, key: ObjectKey)] = []
    private var index = 0

    /// `epochs`: all that were claimed.
    init(_ reader: ArchiveReader, epochs: [EpochName]) async throws(ArchiveError) {
        access = reader.access
        log = reader.log
        let line = try reader.requireLine()
        for epoch in epochs where epoch != line.document.epoch.epoch {
            var from = LSN.zero
            if let start = line.document.epochs.first(where: { $0.epoch == epoch })?.start, let clip = line.source(at: start)?.clip { from = clip }
            try await collect(epoch, from: from, reader.layout)
        }
    }

    private mutating func collect(_ epoch: EpochName, from: LSN, _ layout: Layout) async throws(ArchiveError) {
        let size = log.segmentSize
        var segments: [UInt64: LSN] = [:]
        for key in try await access.list(layout.segments(epoch)) ?? [] {
            guard let start = ObjectIdentity.start(named: key) else { continue }
            segments[start.rawValue / size] = min(start, segments[start.rawValue / size] ?? start)
            add(.segment, epoch, start, key, from)
        }
        for key in try await access.list(layout.tails(epoch)) ?? [] {
            let parts = key.path.split(separator: "/")
            guard let start = ObjectIdentity.start(named: key), let level = Int(parts[parts.count - 2]),
                (0...ArchiveLimits.tailLevelMax).contains(level), layout.tails(epoch, level: level).path == parts.dropLast().joined(separator: "/")
            else { continue }
            // Its segment holds the same.
            if let segment = segments[start.rawValue / size], segment <= start { continue }
            add(.tail(level: level), epoch, start, key, from)
        }
    }

    private mutating func add(_ kind: ObjectMetadata.Kind, _ epoch: EpochName, _ start: LSN, _ key: ObjectKey, _ from: LSN) {
        guard start >= from else { return }
        found.append((ObjectIdentity(logID: log.logID, archiveID: log.archiveID, epoch: epoch, kind: kind, start: start), key))
    }

    mutating func next() async throws(ArchiveError) -> CopyItem? {
        while index < found.count {
            let (identity, key) = found[index]
            index += 1
            // It may have been pruned since it was listed.
            let read = try await readingAgain { () throws(ArchiveError) in try await access.metadata(key, start: identity.start) }
            guard let metadata = read else { continue }
            guard metadata.identity == identity else {
                throw ArchiveError(.diverged, "the object is of something else than its name says", key: key, lsn: identity.start)
            }
            return CopyItem(metadata: metadata, key: key, position: identity.start, rawBytes: metadata.rawSize)
        }
        return nil
    }

    mutating func vanished(at position: LSN) {}
}

extension ObjectIdentity {
    /// The LSN in an object's name; nil for other names, which are nobody's.
    static func start(named key: ObjectKey) -> LSN? {
        guard let name = key.path.split(separator: "/").last, let dot = name.firstIndex(of: "."), [".zst", ".zst.enc"].contains(name[dot...]),
            name[..<dot].utf8.count == 20, let value = UInt64(name[..<dot]), value <= ArchiveLimits.lsnMax.rawValue
        else { return nil }
        return LSN(value)
    }
}
