package import WAL

extension FileSystem {
    /// The bytes of the file at `path`.
    package func contents(_ path: String) throws -> [UInt8] {
        let file = try open(path, .read)
        defer { file.close() }
        return try file.bytes(at: 0, count: Int(file.status().size))
    }

    /// A new file with these bytes, closed, nothing synced.
    package func create(_ path: String, _ bytes: [UInt8] = []) throws {
        let file = try open(path, .createNew)
        defer { file.close() }
        try file.write(bytes, at: 0)
    }
}
