import Archive
import WAL

/// An object as it was fetched and checked: all of it, or its metadata alone.
struct ObjectContent: Sendable {
    let metadata: ObjectMetadata
    /// The log's bytes from the object's start to its end; empty where only the metadata was asked for.
    let raw: [UInt8]
}

/// Fetching objects, and answering what a chain asks.
extension ArchiveReader {
    /// The object under this name, checked against everything that the name and the line promise; nil where the store says that nothing is there.
    func object(
        _ identity: ObjectIdentity, isEncrypted: Bool, _ source: EpochLine.Source, _ depth: ArchiveWalk.Depth
    ) async throws(ArchiveError) -> ObjectContent? {
        let found: ObjectContent?
        switch depth {
        case .metadata: found = try await readingAgain { () throws(ArchiveError) in try await fetchMetadata(identity, isEncrypted) }
        case .whole: found = try await readingAgain { () throws(ArchiveError) in try await fetch(identity, isEncrypted) }
        }
        guard let found else { return nil }
        try check(found.metadata, key: layout.object(identity, isEncrypted: isEncrypted), source)
        return found
    }

    /// The part of an object that a link takes from it.
    func piece(_ link: ArchiveLink, _ content: ObjectContent) -> ArchivePiece {
        let key = layout.object(link.identity, isEncrypted: link.isEncrypted)
        let (start, range) = (link.identity.start, link.range)
        let isWhole = range == start..<content.metadata.end || content.raw.isEmpty
        let bytes =
            isWhole ? content.raw : Array(content.raw[Int(range.lowerBound.distance(from: start))..<Int(range.upperBound.distance(from: start))])
        return ArchivePiece(range: range, bytes: bytes, metadata: content.metadata, key: key)
    }

    /// Everything that a chain asks but for objects, which are fetched.
    func answer(_ ask: ArchiveChain.Ask) async throws(ArchiveError) -> ArchiveChain.Answer {
        let epoch = ask.source.epoch
        switch ask.about {
        case .object: preconditionFailure("objects are fetched")
        case .names: return .names(try await naming(epoch))
        case .gap:
            let key = layout.gap(epoch, start: ask.position)
            guard let gap = try await access.document(GapDocument.self, key) else { return .nothing }
            guard gap.start == ask.position else {
                throw ArchiveError(.invalid, "field start_lsn: \(gap.start) is not what the name says", key: key, lsn: ask.position)
            }
            return .gap(end: gap.end, reason: gap.reason)
        case .floor:
            return (try await access.document(FloorDocument.self, layout.floor)).map { .floor(objectStart: $0.objectStart) } ?? .nothing
        case .head:
            guard let head = try await access.head(epoch), head.epoch == epoch else { return .nothing }
            return .head(archived: head.archived)
        case .listing: return try await isAnything(of: epoch, from: ask.position)
        }
    }

    private func isAnything(of epoch: EpochName, from position: LSN) async throws(ArchiveError) -> ArchiveChain.Answer {
        for prefix in [layout.segments(epoch), layout.tails(epoch), layout.gaps(epoch)] {
            guard let keys = try await access.list(prefix) else { return .cannotList }
            if keys.contains(where: { layout.start(of: $0).map { $0 >= position } ?? false }) { return .listing(isMore: true) }
        }
        return .listing(isMore: false)
    }

    private func fetch(_ identity: ObjectIdentity, _ isEncrypted: Bool) async throws(ArchiveError) -> ObjectContent? {
        let (layout, keys, blocks) = (layout, keys, blocks)
        let key = layout.object(identity, isEncrypted: isEncrypted)
        guard let bytes = try await access.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
        let decoded = try await OffPool.run { () throws(ArchiveError) in
            try ObjectDecoder.decode(bytes, identity, isEncrypted: isEncrypted, in: layout, keys: keys, blocks: blocks)
        }
        return ObjectContent(metadata: decoded.metadata, raw: decoded.raw)
    }

    private func fetchMetadata(_ identity: ObjectIdentity, _ isEncrypted: Bool) async throws(ArchiveError) -> ObjectContent? {
        let key = layout.object(identity, isEncrypted: isEncrypted)
        guard let metadata = try await access.metadata(key, start: identity.start) else { return nil }
        guard metadata.identity == identity else {
            throw ArchiveError(.diverged, "the object is of something else than its name says", key: key, lsn: identity.start)
        }
        return ObjectContent(metadata: metadata, raw: [])
    }

    /// What the object's own checks cannot know: how it fits into the line.
    private func check(_ metadata: ObjectMetadata, key: ObjectKey, _ source: EpochLine.Source) throws(ArchiveError) {
        guard metadata.epochStart == source.start else {
            throw ArchiveError(
                .diverged, "the object says that its epoch begins at LSN \(metadata.epochStart), start.json says \(source.start)", key: key,
                lsn: metadata.start)
        }
        let epochs = try requireLine().epochs
        for ancestor in metadata.ancestry {
            guard let known = epochs.epoch(number: ancestor.number), known.id != ancestor.id else { continue }
            throw ArchiveError(
                .diverged, "the object's epoch \(ancestor.number) is \(ancestor.id), start.json's is \(known.id)", key: key, lsn: metadata.start)
        }
    }
}

extension Layout {
    /// Where the object or the gap begins that has this name; nil for anything else: uploads on their way to their names are nobody's objects.
    func start(of key: ObjectKey) -> LSN? {
        switch meaning(of: key) {
        case .object(let object): object.start
        case .gap(_, let start): start
        default: nil
        }
    }
}
