/// Which directories have been flushed since the server started: their entry in their parent, and the entries that an earlier
/// process may have left in them.
struct FlushedDirectories {
    private var paths: Set<String> = []

    /// Forgetting costs two flushes at the next visit; remembering costs about 200 bytes.
    static let countMax = 65_536

    func contains(_ path: String) -> Bool { paths.contains(path) }

    mutating func insert(_ path: String) {
        if paths.count >= Self.countMax { paths.removeAll() }
        paths.insert(path)
    }

    mutating func remove(_ path: String) { paths.remove(path) }
}
