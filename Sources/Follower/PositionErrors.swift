import Archive
import WAL

/// Positions that were asked for and at which an archive has nothing to give. The LSN is put behind the message.
extension ArchiveError {
    /// It lies inside a record, or is of another log.
    static func noRecord(at lsn: LSN) -> ArchiveError {
        ArchiveError(.notFound, "no record begins", lsn: lsn, hint: "ask for the LSN of a record")
    }

    /// The archive's first record lies above it.
    static func belowTheFirst(_ first: LSN, at lsn: LSN) -> ArchiveError {
        ArchiveError(
            .notFound, "the archive begins at LSN \(first) (what lay below was pruned, or never archived): it has nothing", lsn: lsn,
            hint: "ask for LSN \(first) or above")
    }

    /// It ends below.
    static func pastTheEnd(at lsn: LSN, hint: String) -> ArchiveError { ArchiveError(.notFound, "nothing is archived yet", lsn: lsn, hint: hint) }
}
