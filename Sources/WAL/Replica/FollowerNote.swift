/// The file `follower` in a replica's directory: what whoever follows last said about itself. Advisory, and not synced: after power loss it may be
/// missing or mean nothing.
package enum FollowerNote {
    /// Bytes. More is not read.
    package static let sizeMax = 64 << 10

    /// Replaces the note: a reader finds the old one or the new one.
    package static func write(_ bytes: [UInt8], directory: String) throws(WALError) {
        let fileSystem = LinuxFileSystem()
        let path = LogPaths(directory: directory).follower
        let temporary = path + ".tmp"
        try fileSystem.unlink(temporary)
        let file = try fileSystem.open(temporary, .createNew)
        defer { file.close() }
        try file.write(bytes, at: 0)
        try fileSystem.rename(temporary, to: path)
    }

    /// Whether somebody who does not hold the log may leave a note: a replica is there, and nobody else has it. A log that is written gets none.
    package static func isOurs(directory: String) throws(WALError) -> Bool {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        guard try reader.isReplica else { return false }
        return try reader.writer == nil
    }

    /// Nil where there is none.
    package static func read(directory: String) throws(WALError) -> [UInt8]? {
        do throws(WALError) {
            let file = try LinuxFileSystem().open(LogPaths(directory: directory).follower, .read)
            defer { file.close() }
            return try file.bytes(at: 0, count: sizeMax)
        } catch where error.isMissingFile {
            return nil
        }
    }
}
