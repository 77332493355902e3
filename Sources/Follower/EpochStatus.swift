public import Archive
public import WAL

/// What an archive says about one of its epochs.
public struct EpochStatus: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        /// The one that readers follow.
        case current
        /// Readers come to its objects before those of a newer one.
        case ancestor
        /// It had begun here, and the current one does not go on from what it archived.
        case abandoned
        /// Older than the current one, and never begun here.
        case unused
        /// Newer than the current one, and not begun: a promotion under way, or one that was never finished.
        case claimed
        /// Its claim cannot be read.
        case unreadable
    }

    public let number: UInt64
    /// Nil where its claim cannot be read.
    public let claim: ClaimDocument?
    public let state: State
    /// Where it begins in the log; nil before it has begun.
    public let fork: LSN?
    /// Where its objects begin in this archive; nil where there are none that anybody reads.
    public let start: LSN?
    /// Where a newer epoch takes over; nil for the current one and for those that readers do not come to.
    public let successorStart: LSN?
    /// How far its writer said that it had come.
    public let head: HeadDocument?
    /// From where on its objects are encrypted; nil: none is.
    public let encryption: EncryptionDocument?
    /// encryption.json is there and was cut short: objects of both kinds are looked for.
    public let isEncryptionCut: Bool

    public var name: EpochName? { claim?.epoch }

    static func read(_ number: UInt64, _ reader: ArchiveReader, _ claims: Claims) async throws(ArchiveError) -> EpochStatus {
        guard let claim = try await claims.readable(number) else {
            return EpochStatus(
                number: number, claim: nil, state: .unreadable, fork: nil, start: nil, successorStart: nil, head: nil, encryption: nil,
                isEncryptionCut: false)
        }
        let (access, layout) = (reader.access, reader.layout)
        var encryption: EncryptionDocument?
        var isEncryptionCut = false
        do throws(ArchiveError) {
            encryption = try await access.document(EncryptionDocument.self, layout.encryption(number))
        } catch where error.code == .damaged {
            isEncryptionCut = true
        }
        let own = try await access.document(StartDocument.self, layout.start(number))?.epoch
        let onLine = reader.line?.document.epochs.first { $0.epoch == claim.epoch }
        let current = reader.line?.document.epoch.epoch
        let state: State
        if current == claim.epoch {
            state = .current
        } else if onLine?.start != nil {
            state = .ancestor
        } else if own != nil {
            state = .abandoned
        } else {
            state = number < current?.number ?? 0 ? .unused : .claimed
        }
        return EpochStatus(
            number: number, claim: claim, state: state, fork: (onLine ?? own)?.fork, start: onLine?.start ?? own?.start,
            successorStart: onLine?.start.flatMap { reader.line?.source(at: $0)?.clip }, head: try await access.head(claim.epoch),
            encryption: encryption, isEncryptionCut: isEncryptionCut)
    }
}
