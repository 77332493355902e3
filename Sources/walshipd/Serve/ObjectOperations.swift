import HTTPTypes
import Synchronization
import WAL

/// What a PUT asks of what lies at its path.
enum Precondition: Hashable, Sendable {
    case any
    /// `If-None-Match: *`
    case absent
    /// `If-Match: *`
    case present

    func check(exists: Bool) throws(ServeError) {
        switch self {
        case .any: return
        case .absent: if exists { throw ServeError(.preconditionFailed, "an object is already there") }
        case .present: if !exists { throw ServeError(.preconditionFailed, "no object is there") }
        }
    }
}

/// What lies at a path.
enum Found: Hashable, Sendable {
    case nothing
    case object(size: UInt64)
    case collection
}

/// An object opened for reading. `size` bytes can be read.
struct OpenObject: Sendable {
    let file: any File
    let size: UInt64
}

/// The server's methods, on the tree. Each is blocking and may be called from any thread.
extension ObjectTree {
    /// Refuses a PUT that cannot succeed, before its body is read. `publish` decides again.
    func foresee(putAt path: ObjectPath, if precondition: Precondition) throws(ServeError) {
        switch try look(path) {
        case .nothing: try precondition.check(exists: false)
        case .object: try precondition.check(exists: true)
        case .collection: throw ServeError(.conflict, "a collection is there")
        }
    }

    /// Moves a finished upload to `path`, replacing what is there if `precondition` allows. Of several with `.absent` exactly one
    /// succeeds. On an error the upload is where it was, unless the flush after the move failed.
    /// - Returns: whether an object was replaced.
    func publish(_ upload: Upload, at path: ObjectPath, if precondition: Precondition) throws(ServeError) -> Bool {
        try alone(with: path) { () throws(ServeError) in
            let target = location(path)
            _ = try enter(path.parent, making: true)
            let replaces: Bool
            switch try kind(target) {
            case nil: replaces = false
            case .regular: replaces = true
            case .directory: throw ServeError(.conflict, "a collection is there")
            case .other: throw ServeError.notFollowed
            }
            try precondition.check(exists: replaces)
            try call { () throws(WALError) in try system.rename(upload.path, to: target) }
            try flush(location(path.parent))
            return replaces
        }
    }

    func look(_ path: ObjectPath) throws(ServeError) -> Found {
        try alone(with: path) { () throws(ServeError) in
            guard try enter(path.parent, making: false) else { return .nothing }
            // The root may itself be a link.
            return path.isRoot ? .collection : try found(location(path))
        }
    }

    func open(_ path: ObjectPath) throws(ServeError) -> OpenObject {
        try alone(with: path) { () throws(ServeError) in
            guard try enter(path.parent, making: false) else { throw ServeError.notFound }
            let target = location(path)
            switch try found(target) {
            case .nothing: throw ServeError.notFound
            case .collection: throw ServeError(.methodNotAllowed, "a collection is there; PROPFIND lists it")
            case .object: break
            }
            return try call { () throws(WALError) in
                let file = try system.open(target, .read)
                return OpenObject(file: file, size: try file.status().size)
            }
        }
    }

    /// Removes an object, or a collection that is empty: one request must not be able to remove a whole archive.
    func delete(_ path: ObjectPath) throws(ServeError) {
        try alone(with: path) { () throws(ServeError) in
            guard try enter(path.parent, making: false) else { throw ServeError.notFound }
            let target = location(path)
            switch try found(target) {
            case .nothing:
                throw ServeError.notFound
            case .object:
                guard !path.endsWithSlash else { throw ServeError.notFound }
                try call { () throws(WALError) in try system.unlink(target) }
            case .collection:
                let removed = try directories.withLock { flushed throws(ServeError) in
                    flushed.remove(target)
                    return try call { () throws(WALError) in try system.removeDirectory(target) }
                }
                guard removed else { throw ServeError(.conflict, "the collection is not empty") }
            }
            try flush(location(path.parent))
        }
    }

    /// Makes a collection whose parent is there. Of several at once exactly one succeeds.
    func makeCollection(_ path: ObjectPath) throws(ServeError) {
        try alone(with: path) { () throws(ServeError) in
            // Under the directories' lock: a PUT that makes its parents must not come between the look and the making.
            try directories.withLock { flushed throws(ServeError) in
                guard try enter(path.parent, making: false, &flushed) else {
                    throw ServeError(.conflict, "the parent collection is missing; make it first")
                }
                let target = location(path)
                guard try kind(target) == nil else { throw ServeError(.methodNotAllowed, "something is already there") }
                try call { () throws(WALError) in try system.makeDirectory(target) }
                try flush(location(path.parent))
                flushed.insert(target)
            }
        }
    }

    /// What is directly in a collection, by name in order.
    func list(_ path: ObjectPath) throws(ServeError) -> [(name: String, found: Found)] {
        guard try enter(path, making: false) else { throw ServeError.notFound }
        let directory = location(path)
        var names = try call { () throws(WALError) in try system.list(directory) }
        // What is listed may be a change that is still being flushed.
        try flush(directory)
        if path.isRoot { names.removeAll { $0 == ObjectPath.reserved } }
        var entries: [(name: String, found: Found)] = []
        for name in names.sorted() {
            guard let status = try call({ () throws(WALError) in try system.status("\(directory)/\(name)") }) else { continue }
            switch status.kind {
            case .regular: entries.append((name, .object(size: status.size)))
            case .directory: entries.append((name, .collection))
            case .other: continue
            }
        }
        return entries
    }

    private func found(_ location: String) throws(ServeError) -> Found {
        guard let status = try call({ () throws(WALError) in try system.status(location) }) else { return .nothing }
        switch status.kind {
        case .regular: return .object(size: status.size)
        case .directory: return .collection
        case .other: throw ServeError.notFollowed
        }
    }
}

extension ServeError {
    static let notFound = ServeError(.notFound, "nothing is there")
}
