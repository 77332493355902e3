import WAL

/// Carries the writer of a restore to the threads that may block.
/// Unchecked, because each use is awaited before the next begins.
final class RestoreWork: @unchecked Sendable {
    let writer: ReplicaWriter

    private init(_ writer: ReplicaWriter) { self.writer = writer }

    /// Nil where an attempt before had completed it.
    static func begin(
        _ directory: String, _ mark: ReplicaMark, _ epochs: EpochTable, _ fileSystem: any FileSystem
    ) throws(WALError) -> RestoreWork? {
        switch try ReplicaWriter.begin(directory: directory, mark, epochs: epochs, fileSystem: fileSystem) {
        case .complete: nil
        case .writer(let writer): RestoreWork(writer)
        }
    }

    /// Keeps what is worth it, removes the rest; returns what is to be thrown for `error`.
    func end(after error: any Error, _ directory: String) -> any Error {
        if let kept = writer.keep() {
            writer.close()
            return RestoreError(cause: error, remains: .kept(upTo: kept), directory: directory)
        }
        do throws(WALError) {
            try writer.abandon()
            return error
        } catch let second {
            return RestoreError(cause: error, remains: .leftover(second), directory: directory)
        }
    }
}
