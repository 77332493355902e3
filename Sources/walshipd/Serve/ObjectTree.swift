import HTTPTypes
import Logging
import Synchronization
import WAL

/// The root directory and everything below it: objects are plain files at their request path, collections are directories.
///
/// When a call that changes something returns, the change is on stable storage: the file's bytes, its entry in its directory,
/// and the entries of directories made for it, up to the root. When a call that looks returns, what it saw is, too: a process
/// that was killed may have left entries that were never flushed, so each directory is flushed when it is first met, and a look
/// waits for a change to the same object that is under way.
///
/// Links below the root are not followed. The tree belongs to one server (a lock sees to that); other programs may read it.
///
/// Blocking; safe from any thread. After a failed flush of a directory the tree refuses everything: what it shows may not be
/// what storage holds, and a second flush would report success without a reason.
final class ObjectTree: Sendable {
    let root: String
    let system: any FileSystem & DirectoryRemoval
    let logger: Logger
    let directories = Mutex(FlushedDirectories())
    /// Kept open for its lock.
    private let lockFile: any File
    private let uploadsBegun = Atomic<UInt64>(0)
    private let failure = Mutex<String?>(nil)
    /// A change to an object, or a look at it, holds the lock that its path falls to. 64: many more than threads that could meet.
    private let locks = (0..<64).map { _ in PathLock() }

    private final class PathLock: Sendable { let mutex = Mutex(()) }

    private static let lockName = "lock"
    private var uploads: String { "\(root)/\(ObjectPath.reserved)" }

    /// Opens the tree at `root` (made if only its last part is missing), locks it, and removes the uploads that a former server
    /// left unfinished.
    init(root: String, system: any FileSystem & DirectoryRemoval, logger: Logger) throws(CommandError) {
        self.root = root
        self.system = system
        self.logger = logger
        do throws(WALError) {
            lockFile = try Self.prepare(root: root, system: system)
        } catch {
            var what = "\(error)"
            if case .notALog(_, let reason) = error { what = reason }
            throw CommandError(.failed, "cannot keep objects in \(root): \(what); choose a directory that can be written with --root")
        }
        let leftovers: Int?
        do throws(WALError) {
            leftovers = try Self.lockAndClean(lockFile, uploads: "\(root)/\(ObjectPath.reserved)", system: system)
        } catch {
            throw CommandError(.failed, "cannot clean up in \(root): \(error); remove what is there by hand")
        }
        guard let leftovers else {
            throw CommandError(
                .failed, "\(root) is in use by another walshipd serve; stop that one, or choose another directory with --root")
        }
        if leftovers > 0 {
            logger.notice("removed unfinished uploads of a former run", metadata: ["count": "\(leftovers)"])
        }
    }

    private static func prepare(root: String, system: any FileSystem) throws(WALError) -> any File {
        let uploads = "\(root)/\(ObjectPath.reserved)"
        // The dot makes the kernel follow a root that is a link.
        if try system.status("\(root)/.") == nil {
            if try system.status(root) != nil { throw .notALog(path: root, reason: "it is no directory") }
            try system.makeDirectory(root)
        }
        if try system.status(uploads) == nil {
            // The first run here: the root's own entry may be new.
            try system.syncDirectory("\(root)/..")
            try system.makeDirectory(uploads)
        }
        return try system.open("\(uploads)/\(lockName)", .createIfAbsent)
    }

    /// The number of leftovers removed, or nil where another server has the lock.
    private static func lockAndClean(
        _ lockFile: any File, uploads: String, system: any FileSystem
    ) throws(WALError) -> Int? {
        guard try lockFile.tryLock(byte: 0, .exclusive) else { return nil }
        let leftovers = try system.list(uploads).filter { $0 != lockName }
        for name in leftovers { try system.unlink("\(uploads)/\(name)") }
        return leftovers.count
    }

    // MARK: Uploads

    /// A file for a body on its way in.
    func beginUpload(verifying: Bool) throws(ServeError) -> Upload {
        try check()
        let number = uploadsBegun.wrappingAdd(1, ordering: .relaxed).newValue
        return try call { () throws(WALError) in
            try Upload(path: "\(uploads)/\(number)", in: system, verifying: verifying)
        }
    }

    /// Removes an upload that came to nothing. What cannot be removed waits for the next start.
    func discard(_ upload: Upload) {
        upload.close()
        do throws(WALError) {
            try system.unlink(upload.path)
        } catch {
            logger.warning("an unfinished upload stays until the next start", metadata: ["error": "\(error)"])
        }
    }

    // MARK: What operations share

    /// The file-system path of `path`.
    func location(_ path: ObjectPath) -> String {
        path.names.reduce(root) { "\($0)/\($1)" }
    }

    /// Runs `body` while no other change to `path`, and no look at it, is under way.
    func alone<Result>(
        with path: ObjectPath, _ body: () throws(ServeError) -> Result
    ) throws(ServeError) -> Result {
        let lock = locks[Int(UInt(bitPattern: path.names.hashValue) % UInt(locks.count))]
        return try lock.mutex.withLock { _ throws(ServeError) in try body() }
    }

    /// Whether the collection is there, with every directory on the way flushed. With `making`, missing ones are made.
    func enter(_ collection: ObjectPath, making: Bool) throws(ServeError) -> Bool {
        try directories.withLock { flushed throws(ServeError) in try enter(collection, making: making, &flushed) }
    }

    func enter(
        _ collection: ObjectPath, making: Bool, _ flushed: inout FlushedDirectories
    ) throws(ServeError) -> Bool {
        try check()
        var location = root
        if !flushed.contains(root) {
            try flush(root)
            flushed.insert(root)
        }
        for name in collection.names {
            let parent = location
            location += "/\(name)"
            switch try kind(location) {
            case .directory:
                if flushed.contains(location) { continue }
                try flush(location)
                try flush(parent)
            case .regular:
                guard making else { return false }
                throw ServeError(.conflict, "a part of the path is an object, not a collection")
            case .other:
                throw ServeError.notFollowed
            case nil:
                guard making else { return false }
                try call { () throws(WALError) in try system.makeDirectory(location) }
                try flush(parent)
            }
            flushed.insert(location)
        }
        return true
    }

    func kind(_ location: String) throws(ServeError) -> FileStatus.Kind? {
        try call { () throws(WALError) in try system.status(location)?.kind }
    }

    /// Flushes a directory; the end of this tree if that fails.
    func flush(_ directory: String) throws(ServeError) {
        do throws(WALError) {
            try system.syncDirectory(directory)
        } catch {
            let text = "\(error)"
            logger.critical(
                "a directory could not be flushed; every request is refused until a restart", metadata: ["error": "\(text)"])
            failure.withLock { $0 = text }
            throw ServeError.stopped
        }
        // After another directory's failure, or another thread's with this one, success says nothing.
        try check()
    }

    private func check() throws(ServeError) {
        if failure.withLock({ $0 }) != nil { throw ServeError.stopped }
    }

    /// A file-system call whose error is for the log and, without paths, for the client.
    func call<Result>(_ body: () throws(WALError) -> Result) throws(ServeError) -> Result {
        do throws(WALError) {
            return try body()
        } catch {
            logger.error("a request failed", metadata: ["error": "\(error)"])
            throw ServeError(error)
        }
    }
}

extension ServeError {
    static let notFollowed = ServeError(
        .forbidden, "a part of the path is neither an object nor a collection; links are not followed")
    static let stopped = ServeError(
        .internalServerError, "a flush failed, and nothing is served until the server is restarted; see its log")
}
