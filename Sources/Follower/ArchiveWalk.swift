public import Archive
public import WAL

/// Walks an archive's objects in the order of the log, from a position to the end, by the reading rule, asking the store for one name after the other.
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
    private let depth: Depth
    private var chain: ArchiveChain

    init(_ reader: ArchiveReader, _ chain: ArchiveChain, depth: Depth) {
        self.reader = reader
        self.depth = depth
        self.chain = chain
    }

    /// Where the next piece begins.
    public var position: LSN { chain.position }

    /// The piece at the position, which moves to its end; nil at the end of what is archived. After an end or an error the next call looks again.
    ///
    /// Throws, with key and LSN: `.gap` where a range was given up or an object is missing, `.endUnproven`, `.damaged`, `.diverged` for an intact
    /// object of something else, `.notFound` where the archive was pruned past the position meanwhile, and what the store throws when
    /// patience ends.
    public mutating func next() async throws(ArchiveError) -> ArchivePiece? {
        do throws(ArchiveError) {
            return try await step()
        } catch {
            chain.begin()
            throw error
        }
    }

    /// One look for the piece at the position, where an object of this kind would have it; nil where none is there. What that means only `next` knows.
    mutating func peek(_ kind: ObjectMetadata.Kind) async throws(ArchiveError) -> ArchivePiece? {
        do throws(ArchiveError) {
            let piece = try await look(for: kind)
            if piece == nil { chain.begin() }
            return piece
        } catch {
            chain.begin()
            throw error
        }
    }

    private mutating func look(for kind: ObjectMetadata.Kind) async throws(ArchiveError) -> ArchivePiece? {
        chain.begin(with: kind)
        var found: ObjectContent?
        while true {
            switch try chain.next() {
            case .link(let link): return found.map { reader.piece(link, $0) }
            case .end, .broken: return nil
            case .ask(let ask):
                guard case .object(let identity, let isEncrypted) = ask.about else {
                    chain.answer(try await reader.answer(ask))
                    continue
                }
                found = try await reader.object(identity, isEncrypted: isEncrypted, ask.source, depth)
                if found == nil && !chain.hasOthers { return nil }
                chain.answer(found.map { .object(end: $0.metadata.end) } ?? .nothing)
            }
        }
    }

    private mutating func step() async throws(ArchiveError) -> ArchivePiece? {
        var found: ObjectContent?
        while true {
            if Task.isCancelled { throw ArchiveError(.cancelled, "cancelled", lsn: position) }
            switch try chain.next() {
            case .end: return nil
            case .broken(let why): throw why.error
            case .link(let link):
                guard let found else { preconditionFailure("a link was found") }
                return reader.piece(link, found)
            case .ask(let ask):
                switch ask.about {
                case .object(let identity, let isEncrypted):
                    found = try await reader.object(identity, isEncrypted: isEncrypted, ask.source, depth)
                    chain.answer(found.map { .object(end: $0.metadata.end) } ?? .nothing)
                case .names, .gap, .floor, .head, .listing:
                    chain.answer(try await reader.answer(ask))
                }
            }
        }
    }
}
