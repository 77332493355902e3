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
        var segments: [UInt64: LSN] = [:]
        for prefix in [layout.segments(epoch), layout.tails(epoch)] {
            for key in try await access.list(prefix) ?? [] {
                guard case .object(let object)? = layout.meaning(of: key) else { continue }
                let index = object.start.rawValue / log.segmentSize
                if object.kind == .segment {
                    segments[index] = min(object.start, segments[index] ?? object.start)
                } else if let segment = segments[index], segment <= object.start {
                    // Its segment holds the same.
                    continue
                }
                guard object.start >= from else { continue }
                let identity = ObjectIdentity(logID: log.logID, archiveID: log.archiveID, epoch: epoch, kind: object.kind, start: object.start)
                found.append((identity, key))
            }
        }
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
