import Archive
import WAL

/// The objects that readers of an archive come to, in the order of the log, for a copy: unlike a reader it goes on after a range that was given up, goes back
/// where a tail was removed because its segment came, and ends although the archive grows.
struct CopyWalk: CopyFeed, Sendable {
    /// Objects past what the head promised at the beginning. A head is written every ten seconds, so one whose shipper has died has fewer
    /// behind it (a tail takes at least ten milliseconds), and one that is alive is not chased for ever.
    static let chaseMax = 4096
    /// How often objects may be gone at one position before it is taken for more than tails that made way for their segment.
    static let vanishingsMax = 8

    private let reader: ArchiveReader
    private let line: EpochLine
    /// How far the source's head says that the archive goes; nil: it has none.
    private let promised: LSN?
    private let chase: Int
    private var walk: ArchiveWalk
    private var chased = 0
    private var vanishing: (position: LSN, count: Int)?
    let start: LSN
    /// Everything below was handed out, or given up.
    private(set) var position: LSN
    /// The ranges that were given up, as readers come to them.
    private(set) var gaps: [(epoch: EpochName, document: GapDocument)] = []
    /// Where the closed segments of the newest epoch end.
    private(set) var checkpoint: LSN
    /// The archive's end was reached, and not only enough of it.
    private(set) var isAtEnd = false

    /// `floor`: the first record that is wanted; nil: all that there is. `chase`: objects past what is promised, before it is enough.
    init(_ reader: ArchiveReader, promised: LSN?, floor: LSN?, chase: Int = CopyWalk.chaseMax) throws(ArchiveError) {
        self.reader = reader
        self.promised = promised
        self.chase = chase
        line = try reader.requireLine()
        walk = try reader.walk(from: floor, depth: .metadata)
        start = walk.position
        position = walk.position
        checkpoint = line.document.epoch.start ?? line.start
    }

    mutating func next() async throws(ArchiveError) -> CopyItem? {
        while true {
            if let promised, position >= promised, chased >= chase { return nil }
            let found: ArchivePiece?
            do throws(ArchiveError) {
                found = try await walk.next()
            } catch where error.code == .gap {
                guard try await crossGap() else { throw error }
                continue
            }
            guard let piece = found else {
                isAtEnd = true
                return nil
            }
            // After a gap the walk begins at its segment's beginning once more.
            guard piece.range.upperBound > position else { continue }
            let rawBytes = piece.range.upperBound.distance(from: max(position, piece.range.lowerBound))
            position = piece.range.upperBound
            if let promised, position > promised { chased += 1 }
            if piece.metadata.kind == .segment, piece.metadata.epoch == line.document.epoch.epoch { checkpoint = piece.metadata.end }
            return CopyItem(metadata: piece.metadata, key: piece.key, position: piece.range.lowerBound, rawBytes: rawBytes)
        }
    }

    /// Whether what is not there was given up; then the walk goes on where that ends.
    private mutating func crossGap() async throws(ArchiveError) -> Bool {
        guard let source = line.source(at: walk.position) else { return false }
        let key = reader.layout.gap(source.epoch, start: walk.position)
        guard let gap = try await reader.access.document(GapDocument.self, key), gap.start == walk.position else { return false }
        if walk.position >= position { gaps.append((source.epoch, gap)) }
        let end = source.clip.map { min($0, gap.end) } ?? gap.end
        position = max(position, end)
        walk = try reader.walk(from: end, depth: .metadata)
        return true
    }

    mutating func vanished(at lost: LSN) throws(ArchiveError) {
        let count = vanishing?.position == lost ? (vanishing?.count ?? 0) + 1 : 1
        guard count <= CopyWalk.vanishingsMax else {
            throw ArchiveError(
                .gap, "what is here is gone each time it is fetched", lsn: lost, hint: "look what removes objects from the archive")
        }
        vanishing = (lost, count)
        position = lost
        isAtEnd = false
        walk = try lost <= reader.firstRecord ? reader.walk(depth: .metadata) : reader.walk(from: lost, depth: .metadata)
    }
}
