public import WAL

/// Epochs on one archive: who owns which, and taking the next. An epoch is owned by whose id its claim.json names; a
/// writer whose epoch has a successor is fenced.
///
/// Every method looks at the store; nothing is remembered. Numbers are never skipped, so the highest claim is found by
/// asking for computable names. Safe from any task.
///
/// **What is assumed, and what is not.** Where a store gives a name to one of several rivals only, `.won` is exclusive. Where it ignores
/// conditions, `.won` is exclusive as long as less than claim-settle passes between a claimer's look that finds the number free, or its claim cut short, and
/// the landing of the claim that it then writes, retries included. Safety does not rest on it: should two believe that they have won, the claim names one of them in the end,
/// and the other is told by its next `look`, which comes before anything counts. At worst both stop.
public struct Claims: Sendable {
    /// Seconds between writing a claim and believing it: longer than a rival's request that began before ours can take to land.
    public static let settleDefault = 2.0
    /// How often a claim may rest that a rival is overwriting when it is read back.
    private static let restsMax = 5

    private let store: any ObjectStore
    private let layout: Layout
    /// Seconds.
    private let settle: Double
    private let sleep: @Sendable (Double) async throws -> Void
    private let patience: @Sendable () -> any RetryWait

    /// `settle` in seconds. `sleep` waits so many seconds and throws when the task is cancelled.
    public init(
        store: any ObjectStore, layout: Layout, settle: Double = Claims.settleDefault,
        patience: @escaping @Sendable () -> any RetryWait,
        sleep: @escaping @Sendable (Double) async throws -> Void = { try await Task.sleep(for: .seconds($0)) }
    ) {
        precondition(settle >= 0 && settle.isFinite, "claim-settle of \(settle) s")
        self.store = store
        self.layout = layout
        self.settle = settle
        self.sleep = sleep
        self.patience = patience
    }

    public enum Outcome: Hashable, Sendable {
        case won
        /// Somebody else owns the epoch.
        case lost(to: EpochID)
    }

    /// Claims an epoch, and waits until no rival's claim that is under way can still overturn it.
    ///
    /// `.won`: claim.json was read back after claim-settle and names our id, also where our own id was found there from
    /// an earlier attempt. `.lost`: nothing was changed. Throws `.invalid` where the number before has no claim, and what the store throws
    /// when patience ends; the claim may then be there, and claiming with the same id again is the way on.
    public func claim(_ epoch: EpochName, host: String, time: UInt64) async throws(ArchiveError) -> Outcome {
        if epoch.number > 1, try await document(epoch.number - 1) == nil {
            throw ArchiveError(
                .invalid, "epoch \(epoch.number) cannot be claimed: epoch \(epoch.number - 1) was never claimed here",
                key: layout.claim(epoch.number - 1), hint: "epochs are claimed one after another")
        }
        var found = try await sight(epoch.number)
        if case .nothing = found, try await takeCollection(epoch) {
            // Nobody else gets it.
        } else if found.claim == nil {
            // A rival is between making the collection and the end of its claim, or died there.
            try await pause(2 * settle)
            found = try await sight(epoch.number)
        }
        if let claim = found.claim {
            // Our own, from an attempt that was interrupted, rests again: nobody knows how long it has.
            guard claim.epoch.id == epoch.id else { return .lost(to: claim.epoch.id) }
        } else {
            try await write(ClaimDocument(epoch: epoch, host: host, time: time))
        }
        return try await readBack(epoch)
    }

    private func readBack(_ epoch: EpochName) async throws(ArchiveError) -> Outcome {
        for _ in 0..<Claims.restsMax {
            try await pause(settle)
            switch try await sight(epoch.number) {
            case .claim(let found): return found.epoch.id == epoch.id ? .won : .lost(to: found.epoch.id)
            // A rival is writing over it at this moment.
            case .cut: continue
            case .nothing:
                throw ArchiveError(
                    .damaged, "the store confirmed the claim and does not return it", outcome: .unknown, key: layout.claim(epoch.number))
            }
        }
        throw ArchiveError(
            .damaged, "the claim is cut short each time it is read back", outcome: .unknown, key: layout.claim(epoch.number),
            hint: "another writer may be claiming the same epoch; look who does, and claim again")
    }

    /// What is at a claim's name.
    private enum Sight {
        case nothing
        /// An upload that was cut, or is under way.
        case cut
        case claim(ClaimDocument)

        var claim: ClaimDocument? {
            if case .claim(let claim) = self { claim } else { nil }
        }
    }

    private func sight(_ number: UInt64) async throws(ArchiveError) -> Sight {
        do throws(ArchiveError) {
            return try await document(number).map { .claim($0) } ?? .nothing
        } catch where error.code == .damaged {
            return .cut
        }
    }

    public enum Look: Hashable, Sendable {
        /// The claim names us and there is no higher one.
        case ours
        /// The claim names another id; nil: it is gone, or no claim any more.
        case lost(to: EpochID?)
        /// A higher epoch was claimed; nil: its claim cannot be read, because it is under way or was cut short.
        case superseded(by: EpochName?)
    }

    /// The look before anything counts as archived, is truncated, or is deleted. Throws what the store throws when patience
    /// ends: then nothing is known, and nothing may be counted.
    public func look(_ epoch: EpochName) async throws(ArchiveError) -> Look {
        let named = try await sight(epoch.number).claim?.epoch.id
        guard named == epoch.id else { return .lost(to: named) }
        guard epoch.number < ArchiveLimits.epochNumberMax else { return .ours }
        return switch try await sight(epoch.number + 1) {
        case .nothing: .ours
        case .claim(let next): .superseded(by: next.epoch)
        // Somebody has begun to take over: whether it came to that is not for us to find out.
        case .cut: .superseded(by: nil)
        }
    }

    /// Whether claim n names our id and claim n+1 is absent. See `look`.
    public func looksStillOurs(_ epoch: EpochName) async throws(ArchiveError) -> Bool {
        try await look(epoch) == .ours
    }

    /// The highest epoch that was claimed, or nil for an archive without any. `known` is a number that is known to be
    /// claimed, or 0: looks begin there, double their distance, and close in by halves, without any listing. A claim.json that was cut
    /// short counts as none: whoever claims that number will replace it.
    public func highest(known: UInt64 = 0) async throws(ArchiveError) -> ClaimDocument? {
        var low = known > 0 ? try await readable(known) : nil
        var step: UInt64 = 1
        var high: UInt64?
        while high == nil {
            let number = (low?.epoch.number ?? 0) + step
            guard number <= ArchiveLimits.epochNumberMax else {
                high = ArchiveLimits.epochNumberMax + 1
                break
            }
            if let found = try await readable(number) {
                low = found
                step *= 2
            } else {
                high = number
            }
        }
        while let top = high, top - (low?.epoch.number ?? 0) > 1 {
            let bottom = low?.epoch.number ?? 0
            let middle = bottom + (top - bottom) / 2
            if let found = try await readable(middle) { low = found } else { high = middle }
        }
        return low
    }

    /// The claim of an epoch, or nil where there is none. Throws `.damaged` where claim.json is no JSON, `.invalid` where it
    /// breaks the format or names another number.
    public func document(_ number: UInt64) async throws(ArchiveError) -> ClaimDocument? {
        try await readingAgain { () throws(ArchiveError) in try await read(number) }
    }

    private func read(_ number: UInt64) async throws(ArchiveError) -> ClaimDocument? {
        let key = layout.claim(number)
        let bytes = try await retrying { () throws(ArchiveError) -> [UInt8]? in
            do throws(ArchiveError) {
                return try await store.get(key, range: nil, limit: ClaimDocument.sizeMax)
            } catch where error.code == .notFound {
                return nil
            }
        }
        guard let bytes else { return nil }
        let document = try ClaimDocument(decoding: bytes, key: key)
        guard document.epoch.number == number else {
            throw ArchiveError(.invalid, "field epoch_number: \(document.epoch.number) instead of \(number)", key: key)
        }
        return document
    }

    /// The claim, or nil where there is none or one that was cut short: as good as none, once its writer had time to finish (`claim` waits).
    package func readable(_ number: UInt64) async throws(ArchiveError) -> ClaimDocument? {
        try await sight(number).claim
    }

    /// False: the collection is there already, or was made by an attempt whose reply was lost.
    private func takeCollection(_ epoch: EpochName) async throws(ArchiveError) -> Bool {
        guard await store.capabilities.contains(.exclusiveCollections) else { return true }
        let key = layout.claimCollection(epoch.number)
        return try await retrying { () throws(ArchiveError) -> Bool in
            do throws(ArchiveError) {
                return try await store.makeCollection(key) == .created
            } catch where error.code == .unsupported {
                return true
            }
        }
    }

    /// Writes claim.json where there is none, and over one that was cut short. Who owns the epoch is decided by reading it back.
    private func write(_ claim: ClaimDocument) async throws(ArchiveError) {
        let key = layout.claim(claim.epoch.number)
        let bytes = try claim.encoded(for: key)
        try await retrying { () throws(ArchiveError) in
            if try await store.create(key, bytes) == .created { return }
            if try await readable(claim.epoch.number) == nil { try await store.replace(key, bytes) }
        }
    }

    private func pause(_ seconds: Double) async throws(ArchiveError) {
        do {
            try await sleep(seconds)
        } catch {
            throw ArchiveError(.cancelled, "cancelled while a claim settled", outcome: .unknown)
        }
    }

    /// Every request here can be repeated: it reads, or it creates what is read back afterwards.
    private func retrying<T>(_ attempt: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
        try await withPatience(patience(), attempt)
    }
}
