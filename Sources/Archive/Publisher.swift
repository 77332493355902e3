/// An object that storage holds: confirmed, and seen to be ours afterwards.
public struct Published: Hashable, Sendable {
    public enum How: Hashable, Sendable {
        /// It was not there and is now.
        case created
        /// It was there already, from an attempt whose reply was lost or that a crash interrupted.
        case adopted
        /// What was there failed its own checks, and was replaced.
        case replaced
    }
    public let key: ObjectKey
    public let how: How
    /// Of the object that is there: another than was to be stored where it was adopted.
    public let metadata: ObjectMetadata
}

/// Publishes objects with certainty: it never trusts a lost reply, never replaces what is intact, and counts nothing
/// before it has looked. Whether the claim still holds is the caller's next look (`Claims.look`).
public struct Publisher: Sendable {
    private let store: any ObjectStore
    private let layout: Layout
    private let keys: KeyRing
    private let patience: @Sendable () -> any RetryWait

    /// `keys` open what is there already. `patience` makes the waiting of one publication; see `RetryWait`.
    public init(store: any ObjectStore, layout: Layout, keys: KeyRing = .none, patience: @escaping @Sendable () -> any RetryWait) {
        self.store = store
        self.layout = layout
        self.keys = keys
        self.patience = patience
    }

    /// Stores `object` at its key, or adopts it where it is there already.
    ///
    /// On return a look after the last attempt has shown it: by its bytes, fetched and compared with ours, or (a fresh create
    /// on a store that verifies checksums itself) by its size. Throws `.diverged` where something intact and different is
    /// there: nothing was changed, and this archive must not be written to. Other errors come when patience ends or a retry cannot help; their
    /// `outcome` says whether the object may be there. Cancelling ends it with `.cancelled`.
    public func publish(_ object: EncodedObject) async throws(ArchiveError) -> Published {
        let metadata = object.metadata
        let key = layout.object(metadata)
        var there = metadata
        var decision = PublishDecision()
        var patience = patience()
        var step = decision.start()
        while true {
            if Task.isCancelled { throw decision.withOutcome(ArchiveError(.cancelled, "cancelled", key: key, lsn: metadata.start)) }
            switch step {
            case .create:
                do throws(ArchiveError) {
                    step = decision.created(try await store.create(key, object.bytes))
                } catch {
                    step = decision.writeFailed(error, in: step)
                }
            case .replace:
                do throws(ArchiveError) {
                    try await store.replace(key, object.bytes)
                    step = decision.replaced()
                } catch {
                    step = decision.writeFailed(error, in: step)
                }
            case .confirm, .look:
                do throws(ArchiveError) {
                    let (sight, found) = try await sight(of: key, object, isConfirmation: step == .confirm)
                    there = found ?? metadata
                    step = decision.saw(sight)
                } catch {
                    step = decision.lookFailed(error, in: step)
                }
            case .wait(let error):
                do throws(ArchiveError) {
                    try await patience.wait(after: error)
                } catch {
                    throw decision.withOutcome(error)
                }
                step = decision.resume()
            case .finish(let how):
                return Published(key: key, how: how, metadata: there)
            case .fail(var error):
                if error.key == nil { error.key = key }
                if error.lsn == nil { error.lsn = metadata.start }
                throw error
            }
        }
    }

    /// What is at `key`, and the metadata of another object that is as good as ours. What seems broken there was perhaps read wrongly, and is read
    /// again before anybody replaces it.
    private func sight(
        of key: ObjectKey, _ object: EncodedObject, isConfirmation: Bool
    ) async throws(ArchiveError) -> (PublishDecision.Sight, ObjectMetadata?) {
        var attempt = 1
        while true {
            let sight = try await look(at: key, object, isConfirmation: isConfirmation)
            guard case .broken = sight.0, attempt < ArchiveLimits.damagedReads else { return sight }
            attempt += 1
        }
    }

    /// The size alone is enough only to confirm a fresh create on a store that verified its checksum.
    private func look(
        at key: ObjectKey, _ object: EncodedObject, isConfirmation: Bool
    ) async throws(ArchiveError) -> (PublishDecision.Sight, ObjectMetadata?) {
        guard let info = try await store.head(key) else { return (.nothing, nil) }
        if isConfirmation, info.size == UInt64(object.bytes.count), await store.capabilities.contains(.verifiesChecksum) {
            return (.ours, nil)
        }
        guard info.size <= UInt64(ArchiveLimits.objectSizeMax) else {
            return (.broken(ArchiveError(.damaged, "it has \(info.size) bytes, more than any object", key: key)), nil)
        }
        let bytes: [UInt8]
        do throws(ArchiveError) {
            bytes = try await store.get(key, range: nil, limit: ArchiveLimits.objectSizeMax)
        } catch where error.code == .notFound {
            return (.nothing, nil)
        }
        return Publisher.judge(bytes, key: key, ours: object, keys: keys)
    }

    /// Compares what was found with what we would store there.
    static func judge(
        _ bytes: [UInt8], key: ObjectKey, ours: EncodedObject, keys: KeyRing = .none
    ) -> (PublishDecision.Sight, ObjectMetadata?) {
        if bytes == ours.bytes { return (.ours, nil) }
        let found: ObjectDecoder.Decoded
        do throws(ArchiveError) {
            found = try ObjectDecoder.decode(bytes, key: key, start: ours.metadata.start, keys: keys)
        } catch where error.code == .damaged {
            return (.broken(error), nil)
        } catch where error.code == .keyMissing {
            return (.foreign(error), nil)
        } catch {
            let judged = ArchiveError(
                .diverged, "what is there cannot be judged: \(error.message)", key: key, lsn: ours.metadata.start, hint: error.hint)
            return (.foreign(judged), nil)
        }
        // The same range may have been compressed by another version or level, with newer ancestry or times beside it, and is never encrypted alike twice.
        guard let difference = difference(between: found, and: ours.metadata, keys) else { return (.ours, found.metadata) }
        let foreign = ArchiveError(
            .diverged, "the archive holds something else here: \(difference)", key: key, lsn: ours.metadata.start,
            hint: "another writer, or this log with another history, has written here; nothing was changed")
        return (.foreign(foreign), nil)
    }

    private static func difference(between found: ObjectDecoder.Decoded, and ours: ObjectMetadata, _ keys: KeyRing) -> String? {
        let metadata = found.metadata
        if let difference = ours.identity.difference(of: metadata.identity) { return difference }
        if metadata.end != ours.end { return "a range that ends at \(metadata.end) instead of \(ours.end)" }
        // Digests of different keys cannot be compared: what was found gets one of ours.
        let digest = keys.digest(of: found.raw, log: ours.logID, under: ours.seal?.keyID) ?? metadata.rawDigest
        return digest == ours.rawDigest ? nil : "raw digest \(digest) instead of \(ours.rawDigest)"
    }
}
