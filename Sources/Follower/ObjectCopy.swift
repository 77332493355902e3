import Archive
import WAL

/// One object from one archive to another, byte for byte: no key is needed for what is encrypted.
struct ObjectCopy: Sendable {
    let source: ArchiveAccess
    let destination: ArchiveAccess
    let publisher: Publisher

    enum Outcome: Hashable, Sendable {
        case copied
        /// The destination had it.
        case wasThere
        /// The source has it no more.
        case vanished
    }

    /// On `.copied` the destination holds it, looked at after the last attempt (`Publisher.publish`). Throws `.diverged` where something else is there, `.damaged` where
    /// it fails its checks in the source each time it is read, and what the stores throw.
    func run(_ item: CopyItem) async throws(ArchiveError) -> Outcome {
        let (wanted, key) = (item.metadata, item.key)
        if try await naming(.destination, { () throws(ArchiveError) in try await isThere(wanted) }) { return .wasThere }
        let object = try await naming(.source) { () throws(ArchiveError) in
            try await readingAgain { () throws(ArchiveError) -> EncodedObject? in
                guard let bytes = try await source.bytes(key, limit: ArchiveLimits.objectSizeMax) else { return nil }
                return try await OffPool.run { () throws(ArchiveError) in try EncodedObject(sealed: bytes, key: key, start: wanted.start) }
            }
        }
        guard let object else { return .vanished }
        guard object.metadata.identity == wanted.identity, object.metadata.end == wanted.end else {
            throw ArchiveError(.diverged, "at the source: the object is another one than a moment ago", key: key, lsn: wanted.start)
        }
        let published = try await naming(.destination) { () throws(ArchiveError) in try await publisher.publish(object) }
        return published.how == .adopted ? .wasThere : .copied
    }

    /// Whether the very same object is there: its size, and its metadata with the checksum over all of it.
    private func isThere(_ metadata: ObjectMetadata) async throws(ArchiveError) -> Bool {
        let key = destination.layout.object(metadata)
        guard try await destination.size(key) == metadata.objectSize else { return false }
        do throws(ArchiveError) {
            return try await destination.metadata(key, start: metadata.start) == metadata
        } catch {
            switch error.code {
            // Whether it is to be replaced or left alone is the publisher's to judge, who sees all of it.
            case .damaged, .invalid, .unsupported: return false
            default: throw error
            }
        }
    }
}

/// Which of a copy's two archives something is about.
enum CopySide: String {
    case source, destination
}

/// Says with each error which of the two archives it is about.
func naming<T>(_ side: CopySide, _ body: () async throws(ArchiveError) -> T) async throws(ArchiveError) -> T {
    do throws(ArchiveError) {
        return try await body()
    } catch {
        var error = error
        error.message = "at the \(side): \(error.message)"
        throw error
    }
}
