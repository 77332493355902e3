/// What opening a log does, as two decision tables without any I/O: first whether the log may be opened at all (`Admission`), then what
/// happens to its tail (`TailDecision`). `Tests/WALTests/Recovery` runs over all their inputs.

// MARK: Admission

/// What was found before anything of the log's bytes was read.
struct AdmissionEvidence: Hashable, Sendable {
    enum Place: CaseIterable, Hashable, Sendable {
        /// Nothing at the path, or an empty directory, or one with leftovers of an interrupted creation only.
        case vacant
        /// Something, but no control file.
        case occupied
        case log
    }
    enum Identity: CaseIterable, Hashable, Sendable { case intact, damaged, notOurs, newer }
    enum FactsState: CaseIterable, Hashable, Sendable { case bothCopies, oneCopy, neither, newer }
    enum Parameters: CaseIterable, Hashable, Sendable { case agree, segmentSizeDiffers, maximumIsSmaller }

    var place: Place
    var identity: Identity
    var facts: FactsState
    var parameters: Parameters
    /// The control file's inode is not the one that the facts name.
    var isCopied: Bool
    var isReplica: Bool
}

enum Admission: Hashable, Sendable {
    case create
    /// `repairFacts`: one copy is damaged and is written anew from the other. `asReplica`: readable, not writable.
    case open(repairFacts: Bool, asReplica: Bool)
    /// The refusal changes nothing.
    case refuse(Refusal)

    enum Refusal: Hashable, Sendable { case notALog, newerFormat, damagedControl, parameterMismatch }

    static func decide(_ evidence: AdmissionEvidence) -> Admission {
        switch evidence.place {
        case .vacant: return .create
        case .occupied: return .refuse(.notALog)
        case .log: break
        }
        switch evidence.identity {
        case .notOurs: return .refuse(.notALog)
        case .newer: return .refuse(.newerFormat)
        case .damaged: return .refuse(.damagedControl)
        case .intact: break
        }
        switch evidence.facts {
        case .newer: return .refuse(.newerFormat)
        case .neither: return .refuse(.damagedControl)
        case .bothCopies, .oneCopy: break
        }
        guard evidence.parameters == .agree else { return .refuse(.parameterMismatch) }
        let asReplica = evidence.isCopied || evidence.isReplica
        // A copied directory is left as it is until it is promoted.
        return .open(repairFacts: evidence.facts == .oneCopy && !evidence.isCopied, asReplica: asReplica)
    }
}

// MARK: The tail

/// What reading from the floor on has found.
struct TailEvidence: Hashable, Sendable {
    /// Why the scan ended.
    enum Stop: CaseIterable, Hashable, Sendable {
        /// Zeros, or the end of what exists: nothing more was written.
        case endOfData
        /// Bytes that are no intact frame.
        case badFrame
        /// Intact frames of a batch whose last frame is missing.
        case incompleteBatch
        /// The storage did not return the bytes.
        case readError
    }
    enum Reach: CaseIterable, Hashable, Sendable { case belowFloor, atFloor, aboveFloor }

    var stop: Stop
    var reach: Reach
    /// Bytes other than zero lie after the end.
    var hasStrayBytes: Bool
    /// A segment below the floor is not there, or the head lies below the first one.
    var isSegmentMissing: Bool
    /// A foot names an epoch that the facts do not know, above the head: the facts are older than the segments.
    var isEpochUnknown: Bool
    /// `discardFrom` is set: a truncation of the end was interrupted.
    var isTruncationUnfinished: Bool
    var isCopied: Bool
    var isReplica: Bool
}

enum TailDecision: Hashable, Sendable {
    /// The log ends at its floor and nothing follows: append there.
    case ready
    /// Copy the last segment up to the end, drop what follows, raise the floor, append there.
    case cut(DiscardReason?)
    /// As `cut`, at the point where the interrupted truncation wanted it.
    case finishTruncation
    /// Serve what is intact; change nothing.
    case readOnly
    case refuse(Refusal)

    enum Refusal: Hashable, Sendable { case corruption, missingSegment, staleFacts, copiedWhileLive, readError }

    static func decide(_ evidence: TailEvidence) -> TailDecision {
        // An I/O error is never taken for a torn tail: the bytes may be there tomorrow.
        if evidence.stop == .readError { return .refuse(.readError) }
        if evidence.isSegmentMissing { return .refuse(evidence.isCopied ? .copiedWhileLive : .missingSegment) }
        if evidence.isEpochUnknown { return .refuse(evidence.isCopied ? .copiedWhileLive : .staleFacts) }
        // Nothing below the floor was to be cut off by an interrupted truncation either.
        if evidence.reach == .belowFloor { return .refuse(evidence.isCopied ? .copiedWhileLive : .corruption) }
        if evidence.isTruncationUnfinished {
            return evidence.isCopied ? .readOnly : .finishTruncation
        }
        if evidence.isCopied || evidence.isReplica { return .readOnly }
        if evidence.reach == .atFloor && !evidence.hasStrayBytes { return .ready }
        // Bytes past the floor may be clean-looking pages of a failed flush: only a fresh, synced copy is believed.
        guard evidence.hasStrayBytes else { return .cut(nil) }
        switch evidence.stop {
        case .endOfData: return .cut(.strayBytes)
        case .badFrame: return .cut(.tornTail)
        case .incompleteBatch: return .cut(.incompleteBatch)
        case .readError: return .refuse(.readError)
        }
    }
}
