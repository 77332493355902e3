public import Archive
public import WAL

/// Walks an archive's objects in the order of the log, from a position to the end, by the reading rule.
///
/// Holds one object at a time. Each is checked whole before it is believed: checksums, log, archive, epoch, kind, range, ancestry, and that it
/// goes on where the one before ended. Not for two tasks at once.
public struct ArchiveWalk: Sendable {
    public enum Depth: Hashable, Sendable {
        /// Only the objects' metadata: a few kilobytes each.
        case metadata
        /// Whole objects.
        case whole
    }

    private let reader: ArchiveReader
    private let line: EpochLine
    /// Where the first object of the archive begins.
    private let floor: LSN
    private let depth: Depth
    /// Which names the objects of the epoch have that was read last.
    private var names: (epoch: EpochName, naming: ObjectNaming)?
    /// Where the next piece begins.
    public private(set) var position: LSN
    /// Where to go on if nothing is at the segment's beginning: what lies before it in the segment may be a gap that ends exactly here.
    private var resume: LSN?

    init(_ reader: ArchiveReader, line: EpochLine, floor: LSN, start: LSN, resume: LSN? = nil, depth: Depth) {
        precondition(start >= line.start, "a walk begins in the line")
        self.reader = reader
        self.line = line
        self.floor = floor
        self.depth = depth
        self.resume = resume
        position = start
    }

    /// The piece at the position, which moves to its end; nil at the end of what is archived.
    ///
    /// Throws, with key and LSN: `.gap` where a range was given up or an object is missing, `.endUnproven`, `.damaged`, `.diverged` for an intact
    /// object of something else, `.notFound` where the archive was pruned past the position meanwhile, and what the store throws when
    /// patience ends.
    public mutating func next() async throws(ArchiveError) -> ArchivePiece? {
        guard let resume, resume > position else { return try await read() }
        let start = position
        do throws(ArchiveError) {
            if let piece = try await read() { return piece }
        } catch where error.code == .gap && position == start {
            // What lies before it is not asked for.
        }
        position = resume
        return try await read()
    }

    /// One look for the piece at the position, where an object of this kind would have it; nil where none is there. What that means only `next` knows.
    mutating func peek(_ kind: ObjectMetadata.Kind) async throws(ArchiveError) -> ArchivePiece? {
        guard let source = line.source(at: position) else { preconditionFailure("a walk stays in its line") }
        let probe: ReadingRule.Probe = if case .tail(let level) = kind { .tail(level: level) } else { .segment }
        guard case .object(let piece) = try await look(probe, source, try await naming(of: source.epoch)).1 else { return nil }
        position = piece.range.upperBound
        return piece
    }

    private mutating func read() async throws(ArchiveError) -> ArchivePiece? {
        guard let source = line.source(at: position) else { preconditionFailure("a walk stays in its line") }
        var naming = try await naming(of: source.epoch)
        var rule = ReadingRule(mustGoOn: source.clip != nil)
        var probe = rule.first
        while true {
            if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled", lsn: position) }
            if probe == .names {
                let before = naming
                names = nil
                naming = try await self.naming(of: source.epoch, known: before)
                guard case .probe(let next) = rule.found(naming == before ? .absent : .present) else { preconditionFailure("names decide nothing") }
                probe = next
                continue
            }
            let (answer, find) = try await look(probe, source, naming)
            switch rule.found(answer) {
            case .probe(let next): probe = next
            case .end: return nil
            case .read:
                guard case .object(let piece) = find else { preconditionFailure("an object was found") }
                position = piece.range.upperBound
                return piece
            case .givenUp:
                guard case .gap(let gap) = find else { preconditionFailure("a gap was found") }
                throw ArchiveError(
                    .gap, "the range from LSN \(gap.start) to \(gap.end) was given up and is not in the archive: \(gap.reason)",
                    key: reader.layout.gap(source.epoch, start: position), lsn: position,
                    hint: "restore what follows it with --from \(gap.end)")
            case .pruned:
                throw ArchiveError(
                    .notFound, "the archive was pruned past this position while it was read", key: reader.layout.floor, lsn: position,
                    hint: "begin again")
            case .missing:
                throw ArchiveError(
                    .gap, "an object is missing: nothing is archived here, although the archive goes on",
                    key: reader.layout.object(.segment, source.epoch, start: segmentStarts(source)[0], isEncrypted: naming.forms(start: position)[0]), lsn: position, hint: "restore it from another copy of the archive, or up to this LSN with --at")
            case .unproven:
                throw ArchiveError(
                    .endUnproven, "nothing is archived here, and whether the archive ends here cannot be told: there is no head document, and the store cannot list",
                    key: reader.layout.head(source.epoch), lsn: position)
            }
        }
    }

    private enum Find {
        case object(ArchivePiece)
        case gap(GapDocument)
        case nothing
    }

    /// Asked for once an epoch, and again where it is not `known` that some are encrypted.
    private mutating func naming(of epoch: EpochName, known: ObjectNaming = .plain) async throws(ArchiveError) -> ObjectNaming {
        if let names, names.epoch == epoch { return names.naming }
        let naming = known == .plain ? try await reader.naming(epoch) : known
        names = (epoch, naming)
        return naming
    }

    private func look(_ probe: ReadingRule.Probe, _ source: EpochLine.Source, _ naming: ObjectNaming) async throws(ArchiveError) -> (ReadingRule.Answer, Find) {
        let access = reader.access
        switch probe {
        case .segment:
            for start in segmentStarts(source) {
                if let piece = try await object(.segment, start: start, source, naming) { return (.present, .object(piece)) }
            }
            return (.absent, .nothing)
        case .tail(let level):
            guard let piece = try await object(.tail(level: level), start: position, source, naming) else { return (.absent, .nothing) }
            return (.present, .object(piece))
        case .names: preconditionFailure("the walk knows names itself")
        case .gap:
            let key = reader.layout.gap(source.epoch, start: position)
            guard let gap = try await access.document(GapDocument.self, key) else { return (.absent, .nothing) }
            guard gap.start == position else {
                throw ArchiveError(.invalid, "field start_lsn: \(gap.start) is not what the name says", key: key, lsn: position)
            }
            return (.present, .gap(gap))
        case .floor:
            let floor = try await access.document(FloorDocument.self, reader.layout.floor)
            return (floor.map { $0.objectStart > position } ?? false ? .present : .absent, .nothing)
        case .head:
            guard let head = try await access.head(source.epoch), head.epoch == source.epoch else { return (.absent, .nothing) }
            return (head.archived > position ? .present : .atEnd, .nothing)
        case .listing:
            return (try await isAnythingPast(source), .nothing)
        }
    }

    /// Where the segment object that holds the position may begin. The archive's first object may begin inside a segment.
    private func segmentStarts(_ source: EpochLine.Source) -> [LSN] {
        let size = reader.log.segmentSize
        let start = max(LSN(position.rawValue / size * size), source.start)
        var starts = [start]
        for other in [floor, resume ?? start] where other > start && other <= position && !starts.contains(other) { starts.append(other) }
        return starts
    }

    private func isAnythingPast(_ source: EpochLine.Source) async throws(ArchiveError) -> ReadingRule.Answer {
        for prefix in [reader.layout.segments(source.epoch), reader.layout.tails(source.epoch), reader.layout.gaps(source.epoch)] {
            guard let keys = try await reader.access.list(prefix) else { return .unsupported }
            for key in keys {
                guard let name = key.path.split(separator: "/").last, let dot = name.firstIndex(of: ".") else { continue }
                // Uploads on their way to their names are nobody's objects.
                guard [".zst", ".zst.enc", ".json"].contains(name[dot...]) else { continue }
                if name[..<dot].utf8.count == 20, let start = UInt64(name[..<dot]), start >= position.rawValue { return .present }
            }
        }
        return .absent
    }

    private func object(
        _ kind: ObjectMetadata.Kind, start: LSN, _ source: EpochLine.Source, _ naming: ObjectNaming
    ) async throws(ArchiveError) -> ArchivePiece? {
        for isEncrypted in naming.forms(start: start) {
            if let piece = try await object(reader.identity(kind, source.epoch, start: start), isEncrypted, source) { return piece }
        }
        return nil
    }

    private func object(_ identity: ObjectIdentity, _ isEncrypted: Bool, _ source: EpochLine.Source) async throws(ArchiveError) -> ArchivePiece? {
        let start = identity.start
        let found: (metadata: ObjectMetadata, raw: [UInt8])?
        switch depth {
        case .metadata:
            found = try await readingAgain { () throws(ArchiveError) in try await fetchMetadata(identity, isEncrypted).map { ($0, []) } }
        case .whole: found = try await readingAgain { () throws(ArchiveError) in try await fetch(identity, isEncrypted) }
        }
        guard let found else { return nil }
        let key = reader.layout.object(identity, isEncrypted: isEncrypted)
        try check(found.metadata, key: key, source)
        let end = source.clip.map { min($0, found.metadata.end) } ?? found.metadata.end
        guard depth == .whole else { return ArchivePiece(range: position..<end, bytes: [], metadata: found.metadata, key: key) }
        let isWhole = position == start && end == found.metadata.end
        let from = Int(position.distance(from: start))
        let bytes = isWhole ? found.raw : Array(found.raw[from..<Int(end.distance(from: start))])
        return ArchivePiece(range: position..<end, bytes: bytes, metadata: found.metadata, key: key)
    }

    private func fetch(_ identity: ObjectIdentity, _ isEncrypted: Bool) async throws(ArchiveError) -> (ObjectMetadata, [UInt8])? {
        let (layout, keys) = (reader.layout, reader.keys)
        let key = layout.object(identity, isEncrypted: isEncrypted)
        guard let bytes = try await reader.access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
        let decoded = try await OffPool.run { () throws(ArchiveError) in
            try ObjectDecoder.decode(bytes, identity, isEncrypted: isEncrypted, in: layout, keys: keys)
        }
        return (decoded.metadata, decoded.raw)
    }

    private func fetchMetadata(_ identity: ObjectIdentity, _ isEncrypted: Bool) async throws(ArchiveError) -> ObjectMetadata? {
        let key = reader.layout.object(identity, isEncrypted: isEncrypted)
        guard let metadata = try await reader.access.metadata(key, start: identity.start) else { return nil }
        guard metadata.identity == identity else {
            throw ArchiveError(.diverged, "the object is of something else than its name says", key: key, lsn: identity.start)
        }
        return metadata
    }

    /// What the object's own checks cannot know: how it fits in here.
    private func check(_ metadata: ObjectMetadata, key: ObjectKey, _ source: EpochLine.Source) throws(ArchiveError) {
        let size = reader.log.segmentSize
        let segmentEnd = LSN((position.rawValue / size + 1) * size)
        let isRightEnd = metadata.kind == .segment ? metadata.end == segmentEnd : metadata.end <= segmentEnd
        guard metadata.end > position, isRightEnd else {
            throw ArchiveError(
                .damaged, "the object ends at LSN \(metadata.end), which is not where one that begins at \(metadata.start) ends", key: key,
                lsn: position)
        }
        guard metadata.epochStart == source.start else {
            throw ArchiveError(
                .diverged, "the object says that its epoch begins at LSN \(metadata.epochStart), start.json says \(source.start)", key: key,
                lsn: position)
        }
        for ancestor in metadata.ancestry {
            guard let known = line.epochs.epochs.first(where: { $0.number == ancestor.number }) else { continue }
            guard known.id == ancestor.id else {
                throw ArchiveError(
                    .diverged, "the object's epoch \(ancestor.number) is \(ancestor.id), start.json's is \(known.id)", key: key, lsn: position)
            }
        }
    }
}
