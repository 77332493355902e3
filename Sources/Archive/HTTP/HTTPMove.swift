internal import Synchronization
internal import WAL

/// The way round stores that show cut uploads: to a temporary name, checked, then moved into place.
extension HTTPStore {
    /// Where a cut upload would be visible under the object's own name and MOVE exists.
    var movesIntoPlace: Bool {
        current.contains(.probed) && !current.contains(.cutUploadsInvisible) && current.contains(.move)
    }

    func moveIntoPlace(_ key: ObjectKey, _ bytes: [UInt8], overwrite: Bool) async throws(ArchiveError) -> CreateOutcome {
        let temporary = ObjectKey("\(key.path).tmp-\(Hex.sixteenDigits(session.random()))")
        let outcome: CreateOutcome
        do throws(ArchiveError) {
            outcome = try await moveIntoPlace(key, through: temporary, bytes, overwrite: overwrite)
        } catch {
            throw await removing(temporary, after: error)
        }
        await removeAbandoned()
        if outcome == .exists {
            do throws(ArchiveError) {
                try await delete(temporary)
            } catch {
                // The object is another's, that much is known: only the temporary name is in doubt.
                throw ArchiveError(
                    error.code, "\(error.message); the temporary object \(temporary) may be left", outcome: .notDone, key: key,
                    hint: error.hint,
                    retryAfter: error.retryAfter)
            }
        }
        return outcome
    }

    private func moveIntoPlace(
        _ key: ObjectKey, through temporary: ObjectKey, _ bytes: [UInt8], overwrite: Bool
    ) async throws(ArchiveError) -> CreateOutcome {
        do throws(ArchiveError) {
            // The name is nobody else's: where the answer was lost, the look tells as much as it does behind an answer.
            var lost: ArchiveError?
            do throws(ArchiveError) {
                guard try await put(temporary, bytes, onlyIfAbsent: true) == .created else {
                    throw ArchiveError(.refused(status: 412), "the temporary name \(name)/\(temporary) is taken", key: key)
                }
            } catch where error.outcome == .unknown && error.code == .unreachable {
                lost = error
            }
            // One reply may lie.
            var size: UInt64?
            for _ in 0..<ArchiveLimits.damagedReads where size != UInt64(bytes.count) { size = try await head(temporary)?.size }
            guard size == UInt64(bytes.count) else {
                throw lost ?? ArchiveError(
                    .damaged,
                    "\(name)/\(temporary) has \(size.map { "\($0) bytes" } ?? "gone") after \(bytes.count) bytes were stored there",
                    key: key)
            }
        } catch {
            // Whatever became of the temporary name, nothing has happened to the object.
            var error = error
            error.outcome = .notDone
            error.key = key
            throw error
        }
        let move = moveRequest(temporary, to: key, overwrite: overwrite)
        let response = try await exchange(move, key)
        switch response.status {
        case 201, 204: return .created
        case 412 where !overwrite: return .exists
        default: throw HTTPStatus.error(response, to: move, key: key)
        }
    }

    func moveRequest(_ from: ObjectKey, to key: ObjectKey, overwrite: Bool) -> HTTPRequest {
        var move = request(.move, from)
        // With scheme and host, which RFC 4918 section 10.3 allows to leave out: Apache 2.4 insists on them.
        move.headers = [HTTPHeader("Destination", "\(name)/\(key.path)"), HTTPHeader("Overwrite", overwrite ? "T" : "F")]
        move.mayResend = false
        return move
    }

    /// The name of an upload that failed is remembered too: what was cut may be on its way still, and show after it was deleted.
    private func removing(_ temporary: ObjectKey, after error: ArchiveError) async -> ArchiveError {
        abandoned.withLock { names in
            if names.count < HTTPLimits.abandonedNamesMax { names.append(temporary) }
        }
        let failure = await afterCancellation { () -> ArchiveError? in
            do throws(ArchiveError) {
                try await self.delete(temporary)
                return nil
            } catch {
                return error
            }
        }
        guard let failure else { return error }
        // What cannot be removed is named in the error that is thrown anyway.
        var error = error
        error.message += "; the temporary object \(temporary) may be left (\(failure.message))"
        return error
    }

    /// Deletes once more what failed uploads may have left since. What cannot be deleted now is kept for the next time: the object that was just moved is in
    /// its place whatever becomes of them.
    private func removeAbandoned() async {
        let names = abandoned.withLock { names in
            defer { names = [] }
            return names
        }
        for name in names {
            do throws(ArchiveError) {
                try await delete(name)
            } catch {
                abandoned.withLock { $0.append(name) }
            }
        }
    }
}
