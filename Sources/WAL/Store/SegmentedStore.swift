/// A log in a directory of segment files: the store for data that must not be lost.
///
/// One process at a time has it open for writing. Any thread.
public final class SegmentedStore: FileBackedStore, @unchecked Sendable {
    // Unchecked because a subclass must say so again; it adds no state.

    /// A log in `directory`, which is made if its parent exists. `segmentSize` in bytes, a multiple of 4096, 4 KiB to 1 GiB; nil takes that
    /// of the log that is there, or 16 MiB for a new one.
    public convenience init(directory: String, segmentSize: Int? = nil) {
        self.init(
            directory: directory, segmentSize: segmentSize, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    /// As above on another machine: a simulated one.
    package init(directory: String, segmentSize: Int?, fileSystem: any FileSystem, time: any TimeSource) {
        super.init(
            paths: LogPaths(directory: directory), kind: .directory(segmentSize: segmentSize), fileSystem: fileSystem,
            time: time)
    }
}

/// A log in one growing file with its companions beside it (`<path>.control`, `.lock`, `.maintenance`, `.slots`): for small logs.
///
/// The space of a removed prefix is returned in pieces of 1 MiB where the file system has holes (ext4, XFS, btrfs, tmpfs), and the file's size stays.
/// Recovering from a crash and `truncateAfter` copy what the log holds. One process at a time has it open. Any thread.
public final class FileStore: FileBackedStore, @unchecked Sendable {
    // Unchecked because a subclass must say so again; it adds no state.

    /// A log in the file `path`, which is made if its directory exists.
    public convenience init(path: String) {
        self.init(path: path, fileSystem: LinuxFileSystem(), time: LinuxTimeSource())
    }

    package init(path: String, fileSystem: any FileSystem, time: any TimeSource) {
        super.init(paths: LogPaths(file: path), kind: .singleFile, fileSystem: fileSystem, time: time)
    }
}
