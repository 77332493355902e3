import Glibc
import WAL

/// The blocking half of `DirectoryStore`: keys become paths below the root, and an answer means stable storage.
///
/// Not for two threads at once: only the store's own queue calls it. A directory's failed flush is final, because the kernel
/// reports it once and calls the next one good: every later write answers with the same error.
final class DirectoryWorker {
    /// Uploads wait here, on the same file system, until they are complete and synced. Keys never begin with it.
    static let incoming = ".incoming"
    /// An upload that was left behind by a killed process is removed when it is a day old; a live one is never that slow.
    static let incomingAgeMax = 24 * 60 * 60
    /// Between two looks at whether the caller has gone away, in bytes.
    static let pieceSize = 1 << 20
    /// Levels of directories that a listing descends; the layout has five.
    static let depthMax = 16

    private let root: String
    /// Directories whose own entry, and those of all their parents, this worker has synced. Few: one per kind and epoch.
    private var settled: Set<String> = []
    private var isRootSettled = false
    private var failure: ArchiveError?
    private var random = SystemRandomNumberGenerator()
    /// Tells a test what became durable in which order.
    private let trace: (@Sendable (String) -> Void)?

    init(root: String, trace: (@Sendable (String) -> Void)?) {
        self.root = root
        self.trace = trace
    }

    func create(_ key: ObjectKey, _ bytes: [UInt8], _ cancellation: Cancellation) throws(ArchiveError) -> CreateOutcome {
        let place = try Place(key)
        let parent = try openForWriting(place.directories, key)
        let isThere = try exists(place.name, in: parent, key)
        if !isThere {
            let incoming = try openIncoming(key)
            let temporary = try writeIncoming(bytes, in: incoming, key, cancellation)
            defer { discard(temporary, in: incoming) }
            let isOurs = try wrapped(key) { () throws(DirectoryFiles.Failure) in
                try DirectoryFiles.link(temporary, in: incoming, as: place.name, in: parent)
            }
            if isOurs {
                try settle(place.directories, key)
                return .created
            }
            // A rival was faster.
            _ = try exists(place.name, in: parent, key)
        }
        // Whoever made it may have been killed before its directory entry was synced.
        try settle(place.directories, key)
        return .exists
    }

    func replace(_ key: ObjectKey, _ bytes: [UInt8], _ cancellation: Cancellation) throws(ArchiveError) {
        let place = try Place(key)
        let parent = try openForWriting(place.directories, key)
        let incoming = try openIncoming(key)
        let temporary = try writeIncoming(bytes, in: incoming, key, cancellation)
        do throws(DirectoryFiles.Failure) {
            try DirectoryFiles.rename(temporary, in: incoming, to: place.name, in: parent)
        } catch {
            discard(temporary, in: incoming)
            throw error.archiveError(key: key, path: root)
        }
        try settle(place.directories, key)
    }

    func get(_ key: ObjectKey, _ range: Range<UInt64>?, limit: Int, _ cancellation: Cancellation) throws(ArchiveError) -> [UInt8] {
        let place = try Place(key)
        let result = try wrapped(key) { () throws(DirectoryFiles.Failure) -> Result<[UInt8], ArchiveError> in
            guard let parent = try open(place.directories), let file = try optional({ () throws(DirectoryFiles.Failure) in
                try DirectoryFiles.openFile(place.name, in: parent)
            }) else { return .failure(ArchiveError(.notFound, "nothing is there", key: key)) }
            let status = try DirectoryFiles.status(file)
            guard status.isRegularFile else { return .failure(ArchiveError(.notFound, "no object is there", key: key)) }
            let size = UInt64(status.st_size)
            let wanted = range.map { $0.clamped(to: 0..<size) } ?? 0..<size
            guard wanted.count <= limit else {
                return .failure(ArchiveError(.refused(status: 0), "the object has more than the \(limit) bytes that were asked for", key: key))
            }
            let bytes = try read(wanted, of: file, cancellation)
            if cancellation.isRequested { return .failure(Cancellation.error(key)) }
            guard bytes.count == wanted.count else {
                return .failure(ArchiveError(.unreachable, "the file became shorter while it was read", key: key))
            }
            return .success(bytes)
        }
        return try result.get()
    }

    func head(_ key: ObjectKey) throws(ArchiveError) -> ObjectInfo? {
        let place = try Place(key)
        let status: stat? = try wrapped(key) { () throws(DirectoryFiles.Failure) in
            guard let parent = try open(place.directories) else { return nil }
            return try optional { () throws(DirectoryFiles.Failure) in try DirectoryFiles.status(place.name, in: parent) } ?? nil
        }
        guard let status, status.isRegularFile else { return nil }
        // The caller may go on to count the object as archived although another process made it.
        if !settled.contains(place.directory) { try settle(place.directories, key) }
        return ObjectInfo(size: UInt64(status.st_size))
    }

    func delete(_ key: ObjectKey) throws(ArchiveError) {
        let place = try Place(key)
        let wasThere = try wrapped(key) { () throws(DirectoryFiles.Failure) in
            guard let parent = try open(place.directories) else { return false }
            return try DirectoryFiles.unlink(place.name, in: parent)
        }
        if wasThere { try settle(place.directories, key) }
    }

    func makeCollection(_ key: ObjectKey) throws(ArchiveError) -> CreateOutcome {
        let place = try Place(key)
        let parent = try openForWriting(place.directories, key)
        let isNew = try wrapped(key) { () throws(DirectoryFiles.Failure) in
            try DirectoryFiles.makeDirectory(place.name, in: parent)
        }
        if !isNew {
            let status = try wrapped(key) { () throws(DirectoryFiles.Failure) in try DirectoryFiles.status(place.name, in: parent) }
            guard let status, status.isDirectory else {
                throw ArchiveError(.invalid, "something else stands where a directory should be", key: key)
            }
        }
        try settle(place.directories, key)
        return isNew ? .created : .exists
    }

    func list(_ prefix: ObjectKey, _ cancellation: Cancellation) throws(ArchiveError) -> [ObjectKey] {
        var keys: [ObjectKey] = []
        let segments = prefix.path.split(separator: "/").map(String.init)
        try wrapped(prefix) { () throws(DirectoryFiles.Failure) in
            guard let directory = try open(segments) else { return }
            try collect(from: directory, below: prefix.path, depth: segments.count, into: &keys, cancellation)
        }
        if cancellation.isRequested { throw Cancellation.error(prefix) }
        return keys.sorted()
    }

    /// Tries what the store relies on, where its uploads wait, under names of its own; and clears what killed processes left.
    func probe() throws(ArchiveError) -> StoreCapabilities {
        try settleRoot(making: true)
        let incoming = try openIncoming(nil)
        try removeLeftovers(in: incoming)
        let temporary = try writeIncoming([1], in: incoming, nil, Cancellation())
        defer { discard(temporary, in: incoming) }
        let second = temporary + ".link"
        defer { discard(second, in: incoming) }
        let isExclusive = try wrapped(nil) { () throws(DirectoryFiles.Failure) in
            let first = try DirectoryFiles.link(temporary, in: incoming, as: second, in: incoming)
            let repeated = try DirectoryFiles.link(temporary, in: incoming, as: second, in: incoming)
            return first && !repeated
        }
        let exclusive: StoreCapabilities = isExclusive ? [.conditionalCreate, .exclusiveCollections] : []
        return exclusive.union([.probed, .cutUploadsInvisible, .list, .rangeGet])
    }
}

// MARK: - Places

extension DirectoryWorker {
    /// A key as directories below the root and a name in the last of them.
    private struct Place {
        let directories: [String]
        let name: String
        var directory: String { directories.joined(separator: "/") }

        init(_ key: ObjectKey) throws(ArchiveError) {
            let segments = key.path.split(separator: "/").map(String.init)
            guard segments[0] != DirectoryWorker.incoming else {
                throw ArchiveError(.invalid, "\(DirectoryWorker.incoming) is where uploads wait", key: key)
            }
            directories = Array(segments.dropLast())
            name = segments[segments.count - 1]
        }
    }

    /// The directory, or nil where one of `directories`, or the root, is not there.
    private func open(_ directories: [String]) throws(DirectoryFiles.Failure) -> DirectoryFiles.Descriptor? {
        do throws(DirectoryFiles.Failure) {
            var current = try DirectoryFiles.openRoot(root)
            for name in directories { current = try DirectoryFiles.openDirectory(name, in: current) }
            return current
        } catch where error.errno == ENOENT || error.errno == ENOTDIR {
            return nil
        }
    }

    /// The directory, made with its parents where it is missing. Nothing is durable yet: see `settle`.
    private func openForWriting(_ directories: [String], _ key: ObjectKey) throws(ArchiveError) -> DirectoryFiles.Descriptor {
        if let failure { throw failure }
        try settleRoot(making: true)
        do throws(DirectoryFiles.Failure) {
            var current = try DirectoryFiles.openRoot(root)
            var path: [String] = []
            for name in directories {
                path.append(name)
                current = try openOrMake(name, in: current, path: path)
            }
            return current
        } catch {
            throw error.archiveError(key: key, path: root)
        }
    }

    private func openOrMake(
        _ name: String, in parent: borrowing DirectoryFiles.Descriptor, path: [String]
    ) throws(DirectoryFiles.Failure) -> DirectoryFiles.Descriptor {
        do throws(DirectoryFiles.Failure) {
            return try DirectoryFiles.openDirectory(name, in: parent)
        } catch where error.errno == ENOENT {
            settled.remove(path.joined(separator: "/"))
            _ = try DirectoryFiles.makeDirectory(name, in: parent)
            return try DirectoryFiles.openDirectory(name, in: parent)
        }
    }

    /// Whether an object has that name. Anything that is no plain file is an error.
    private func exists(_ name: String, in parent: borrowing DirectoryFiles.Descriptor, _ key: ObjectKey) throws(ArchiveError) -> Bool {
        let status: stat?
        do throws(DirectoryFiles.Failure) {
            status = try DirectoryFiles.status(name, in: parent)
        } catch {
            throw error.archiveError(key: key, path: root)
        }
        guard let status else { return false }
        guard status.isRegularFile else { throw ArchiveError(.invalid, "something that is no object stands there", key: key) }
        return true
    }

    private func collect(
        from directory: borrowing DirectoryFiles.Descriptor, below path: String, depth: Int, into keys: inout [ObjectKey],
        _ cancellation: Cancellation
    ) throws(DirectoryFiles.Failure) {
        guard depth <= DirectoryWorker.depthMax else { throw DirectoryFiles.Failure(operation: "list", errno: ELOOP) }
        for name in try DirectoryFiles.names(in: directory) {
            if cancellation.isRequested { return }
            // What has no valid key was not put here by us; what vanished meanwhile is not there.
            guard ObjectKey.isValid("\(path)/\(name)"), !name.contains("/"), let status = try DirectoryFiles.status(name, in: directory) else { continue }
            if status.isRegularFile {
                keys.append(ObjectKey("\(path)/\(name)"))
            } else if status.isDirectory, let below = try optional({ () throws(DirectoryFiles.Failure) in
                try DirectoryFiles.openDirectory(name, in: directory)
            }) {
                try collect(from: below, below: "\(path)/\(name)", depth: depth + 1, into: &keys, cancellation)
            }
        }
    }

    private func read(
        _ range: Range<UInt64>, of file: borrowing DirectoryFiles.Descriptor, _ cancellation: Cancellation
    ) throws(DirectoryFiles.Failure) -> [UInt8] {
        var failure: DirectoryFiles.Failure?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            do throws(DirectoryFiles.Failure) {
                while count < range.count, !cancellation.isRequested {
                    // SAFETY: the piece lies inside the buffer, and `count` counts only what pread filled.
                    let piece = unsafe UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[count..<min(count + DirectoryWorker.pieceSize, range.count)])
                    let got = try unsafe DirectoryFiles.read(into: piece, from: file, at: range.lowerBound + UInt64(count))
                    if got == 0 { break }
                    count += got
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }
}

// MARK: - Uploads

extension DirectoryWorker {
    private func openIncoming(_ key: ObjectKey?) throws(ArchiveError) -> DirectoryFiles.Descriptor {
        do throws(DirectoryFiles.Failure) {
            return try openOrMake(DirectoryWorker.incoming, in: DirectoryFiles.openRoot(root), path: [DirectoryWorker.incoming])
        } catch {
            throw error.archiveError(key: key, path: root)
        }
    }

    /// Writes and syncs `bytes` under a name of its own, which it returns. Leaves nothing behind when it throws.
    private func writeIncoming(
        _ bytes: [UInt8], in incoming: borrowing DirectoryFiles.Descriptor, _ key: ObjectKey?, _ cancellation: Cancellation
    ) throws(ArchiveError) -> String {
        let name = Hex.sixteenDigits(random.next()) + Hex.sixteenDigits(random.next())
        do throws(DirectoryFiles.Failure) {
            let file = try DirectoryFiles.createFile(name, in: incoming)
            try unsafe bytes.span.bytes.withUnsafeBytes { (buffer) throws(DirectoryFiles.Failure) in
                var offset = 0
                while offset < buffer.count, !cancellation.isRequested {
                    let end = min(offset + DirectoryWorker.pieceSize, buffer.count)
                    try unsafe DirectoryFiles.write(UnsafeRawBufferPointer(rebasing: buffer[offset..<end]), to: file)
                    offset = end
                }
            }
            if !cancellation.isRequested {
                try DirectoryFiles.sync(file)
                trace?("sync file")
            }
        } catch {
            discard(name, in: incoming)
            throw error.archiveError(key: key, path: root)
        }
        if cancellation.isRequested {
            discard(name, in: incoming)
            throw Cancellation.error(key)
        }
        return name
    }

    /// Removes a name from `incoming`. Where that fails, nothing is harmed: the next probe removes what is old.
    private func discard(_ name: String, in incoming: borrowing DirectoryFiles.Descriptor) {
        _ = try? DirectoryFiles.unlink(name, in: incoming)
    }

    private func removeLeftovers(in incoming: borrowing DirectoryFiles.Descriptor) throws(ArchiveError) {
        let now = time(nil)
        do throws(DirectoryFiles.Failure) {
            for name in try DirectoryFiles.names(in: incoming) {
                guard let status = try DirectoryFiles.status(name, in: incoming), status.isRegularFile,
                    now - status.st_mtim.tv_sec > DirectoryWorker.incomingAgeMax
                else { continue }
                _ = try DirectoryFiles.unlink(name, in: incoming)
            }
        } catch {
            throw error.archiveError(key: nil, path: root)
        }
    }
}

// MARK: - Durability

extension DirectoryWorker {
    /// Syncs the last of `directories`, and once each one above it up to the root and the root's own parents: on return the
    /// entries are on stable storage, whoever made them.
    private func settle(_ directories: [String], _ key: ObjectKey) throws(ArchiveError) {
        if let failure { throw failure }
        try settleRoot(making: false)
        do throws(DirectoryFiles.Failure) {
            var current = try DirectoryFiles.openRoot(root)
            var path = ""
            for name in directories {
                let child = path.isEmpty ? name : "\(path)/\(name)"
                if !settled.contains(child) {
                    try DirectoryFiles.sync(current)
                    trace?("sync directory /\(path)")
                    settled.insert(child)
                }
                path = child
                current = try DirectoryFiles.openDirectory(name, in: current)
            }
            try DirectoryFiles.sync(current)
            trace?("sync directory /\(path)")
        } catch {
            throw remember(error, key)
        }
    }

    /// Once: makes the root where it is missing and asked for, and syncs the root's parents as far as its file system reaches.
    private func settleRoot(making: Bool) throws(ArchiveError) {
        guard !isRootSettled else { return }
        do throws(DirectoryFiles.Failure) {
            if making { try makeRoot(root) }
            var current = try DirectoryFiles.openRoot(root)
            var status = try DirectoryFiles.status(current)
            while let parent = try parent(of: current) {
                let above = try DirectoryFiles.status(parent)
                if above.st_dev != status.st_dev || above.st_ino == status.st_ino { break }
                try DirectoryFiles.sync(parent)
                current = parent
                status = above
            }
            isRootSettled = true
        } catch {
            throw remember(error, nil)
        }
    }

    /// Nil where this user may not open it: then it was there before us.
    private func parent(of directory: borrowing DirectoryFiles.Descriptor) throws(DirectoryFiles.Failure) -> DirectoryFiles.Descriptor? {
        do throws(DirectoryFiles.Failure) {
            return try DirectoryFiles.openDirectory("..", in: directory)
        } catch where error.errno == EACCES {
            return nil
        }
    }

    private func makeRoot(_ path: String) throws(DirectoryFiles.Failure) {
        do throws(DirectoryFiles.Failure) {
            _ = try DirectoryFiles.openRoot(path)
        } catch where error.errno == ENOENT {
            let segments = path.split(separator: "/")
            let parent = (path.hasPrefix("/") ? "/" : "") + segments.dropLast().joined(separator: "/")
            try makeRoot(parent.isEmpty ? "." : parent)
            guard let name = segments.last else { throw error }
            _ = try DirectoryFiles.makeDirectory(String(name), in: DirectoryFiles.openRoot(parent.isEmpty ? "." : parent))
        }
    }

    /// A failed flush is final; any other failure is only this call's, but an entry may have been made that was not synced: whoever looks at it
    /// next syncs all the way again.
    private func remember(_ error: DirectoryFiles.Failure, _ key: ObjectKey?) -> ArchiveError {
        settled.removeAll()
        let described = error.archiveError(key: key, path: root, outcome: .unknown)
        guard error.operation == "fsync" else { return described }
        let final = ArchiveError(
            .refused(status: 0), described.message, outcome: .unknown, key: key,
            hint: "a flush that failed once cannot be trusted again: check the disk, then restart")
        failure = final
        return final
    }
}

// MARK: - Errors

extension DirectoryWorker {
    private func wrapped<T>(_ key: ObjectKey?, _ body: () throws(DirectoryFiles.Failure) -> T) throws(ArchiveError) -> T {
        do throws(DirectoryFiles.Failure) {
            return try body()
        } catch {
            throw error.archiveError(key: key, path: root)
        }
    }

    /// Nil where nothing is there.
    private func optional<T: ~Copyable>(_ body: () throws(DirectoryFiles.Failure) -> T) throws(DirectoryFiles.Failure) -> T? {
        do throws(DirectoryFiles.Failure) {
            return try body()
        } catch where error.errno == ENOENT || error.errno == ENOTDIR {
            return nil
        }
    }
}

extension stat {
    fileprivate var isRegularFile: Bool { st_mode & S_IFMT == S_IFREG }
    fileprivate var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }
}
