import Archive

/// The names of an epoch's objects, as a store listed them: what is among them need not be asked for one by one.
///
/// Tails go when their segment is there. They are listed before the segments, so for what was archived before, one of the two is among the names.
struct ArchiveNames: Sendable {
    let segments: Set<ObjectKey>
    /// Nil: not listed. An archive in which nothing is removed keeps all its tails, which may be millions.
    let tails: Set<ObjectKey>?

    /// Whether an object is there; nil: it has to be asked for.
    func has(_ key: ObjectKey, _ kind: ObjectMetadata.Kind) -> Bool? {
        kind == .segment ? segments.contains(key) : tails.map { $0.contains(key) }
    }
}

extension ArchiveReader {
    /// Nil where the store cannot list.
    func names(of epoch: EpochName) async throws(ArchiveError) -> ArchiveNames? {
        // Archives in which nothing is replaced have no head, and keep their tails.
        var tails: Set<ObjectKey>?
        if try await access.head(epoch) != nil {
            guard let keys = try await access.list(layout.tails(epoch)) else { return nil }
            tails = Set(keys)
        }
        guard let keys = try await access.list(layout.segments(epoch)) else { return nil }
        return ArchiveNames(segments: Set(keys), tails: tails)
    }
}
