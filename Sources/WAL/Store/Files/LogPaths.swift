import Glibc

/// Where the files of a log lie.
struct LogPaths: Hashable, Sendable {
    /// The directory whose entries are synced when a file of the log comes or goes.
    let directory: String
    let control: String
    let lock: String
    let maintenance: String
    let slots: String
    /// The log's bytes, where they are one growing file.
    let singleFile: String?

    /// A directory of segments.
    init(directory: String) {
        let path = LogPaths.withoutTrailingSlashes(directory)
        self.directory = path
        control = path + "/control"
        lock = path + "/lock"
        maintenance = path + "/maintenance"
        slots = path + "/slots"
        singleFile = nil
    }

    /// One growing file, with its companions beside it.
    init(file path: String) {
        directory = LogPaths.parent(of: path)
        control = path + ".control"
        lock = path + ".lock"
        maintenance = path + ".maintenance"
        slots = path + ".slots"
        singleFile = path
    }

    func segment(_ index: UInt64) -> String { directory + "/" + SegmentName(index: index).fileName }
    func times(_ index: UInt64) -> String { directory + "/" + SegmentName(index: index).timesName }
    func epochs(_ generation: UInt64) -> String {
        (singleFile.map { $0 + "." } ?? directory + "/") + EpochFile.name(generation: generation)
    }
    var follower: String { directory + "/follower" }
    func slot(_ name: String) -> String { slots + "/" + name }

    /// What the whole log is called in messages.
    var name: String { singleFile ?? directory }

    static func withoutTrailingSlashes(_ path: String) -> String {
        var path = path
        while path.utf8.count > 1 && path.hasSuffix("/") { path.removeLast() }
        return path
    }

    static func parent(of path: String) -> String {
        let path = withoutTrailingSlashes(path)
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

extension FileSystem {
    /// Makes the entry of a directory in its parent durable. A parent that this user may not read was not changed by this user.
    func syncEntry(ofDirectory path: String) throws(WALError) {
        do throws(WALError) {
            try syncDirectory(LogPaths.parent(of: path))
        } catch .io(_, _, EACCES) {
            return
        }
    }
}
