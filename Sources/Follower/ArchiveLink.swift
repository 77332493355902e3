public import Archive
public import WAL

/// One object of a chain: where it lies, and which part of the log is taken from it.
public struct ArchiveLink: Hashable, Sendable {
    public let identity: ObjectIdentity
    public let isEncrypted: Bool
    /// The part that is used: the object may begin before it, and go on past it where a newer epoch takes over.
    public internal(set) var range: Range<LSN>
    /// Where the object ends.
    public let objectEnd: LSN
    /// Whose it is in the line that is read.
    let source: EpochLine.Source

    public var isSegment: Bool { identity.kind == .segment }
}

/// Why a chain does not go on, and where.
public struct ChainBreak: Hashable, Sendable {
    public enum Reason: Hashable, Sendable {
        /// A gap document says so; the next object begins at `end`.
        case givenUp(end: LSN, reason: String)
        /// The archive goes on, and what holds this position is not there.
        case missing
        /// The archive was pruned past the position.
        case pruned
        /// Neither a head document nor a listing says whether this is the end.
        case unproven
    }

    public let position: LSN
    public let epoch: EpochName
    public let reason: Reason
    /// What was looked for, or what says so.
    public let key: ObjectKey

    public var error: ArchiveError {
        switch reason {
        case .givenUp(let end, let why):
            ArchiveError(
                .gap, "the range from LSN \(position) to \(end) was given up and is not in the archive: \(why)", key: key, lsn: position,
                hint: "restore what follows it with --from \(end), or what precedes it with --before \(position)")
        case .missing:
            ArchiveError(
                .gap, "an object is missing: nothing is archived here, although the archive goes on", key: key, lsn: position,
                hint: "put it back from another copy of the archive, or restore what precedes it with --before \(position)")
        case .pruned:
            ArchiveError(
                .notFound, "the archive was pruned past this position while it was read", key: key, lsn: position, hint: "begin again")
        case .unproven:
            ArchiveError(
                .endUnproven,
                "nothing is archived here, and whether the archive ends here cannot be told: there is no head document, and the store cannot list",
                key: key, lsn: position)
        }
    }
}
