/// The seam through which `WAL` reaches files, directories, mappings and locks.
///
/// `LinuxFileSystem` is the real one; a simulated one stands in for tests, where a crash keeps, drops or tears each
/// unsynced page. Every error is `WALError.io` with the C name of the call, or `WALError.noSpace` for ENOSPC and EDQUOT.
/// EINTR never leaves an implementation. Safe from any thread.
package protocol FileSystem: Sendable {
    /// Opens an existing file or creates one, close-on-exec. Never truncates.
    func open(_ path: String, _ mode: OpenMode) throws(WALError) -> any File
    /// What is at `path` (links not followed), or nil where nothing is.
    func status(_ path: String) throws(WALError) -> FileStatus?
    /// The names in a directory, without `.` and `..`, in no order.
    func list(_ directory: String) throws(WALError) -> [String]
    /// mkdir(2), mode 0o755. Not durable before its parent is synced.
    func makeDirectory(_ path: String) throws(WALError)
    /// rename(2): replaces `to`. Not durable before the directory is synced.
    func rename(_ from: String, to: String) throws(WALError)
    /// unlink(2). A missing file is no error. Not durable before the directory is synced.
    func unlink(_ path: String) throws(WALError)
    /// fsync(2) on the directory: its entries are on stable storage on return.
    func syncDirectory(_ path: String) throws(WALError)
    /// The random id of this boot of the kernel, as two big-endian halves.
    func bootID() throws(WALError) -> BootID
}

package enum OpenMode: Sendable {
    /// An existing file, for reading.
    case read
    /// An existing file, for reading and writing.
    case readWrite
    /// A file that may exist; made empty (mode 0o644) where it does not.
    case createIfAbsent
    /// A file that must not exist; EEXIST otherwise.
    case createNew
}

package struct FileStatus: Hashable, Sendable {
    package enum Kind: Hashable, Sendable { case regular, directory, other }
    package var kind: Kind
    package var size: UInt64
    package var inode: UInt64
    package init(kind: Kind, size: UInt64, inode: UInt64) {
        self.kind = kind
        self.size = size
        self.inode = inode
    }
}

package struct BootID: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// One open file. The descriptor is closed by `close()` or, at the latest, when the object goes. Safe from any thread, but
/// nothing may be under way when `close()` is called.
package protocol File: AnyObject, Sendable {
    var path: String { get }
    func status() throws(WALError) -> FileStatus
    /// pread(2) until `buffer` is full or the file ends; returns the bytes read.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(WALError) -> Int
    /// pwrite(2) until all is written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(WALError)
    /// fallocate(2) of [offset, offset + length), growing the file: later writes there need no space. On an
    /// error the file may have grown by a part of it.
    func allocate(offset: UInt64, length: UInt64) throws(WALError)
    /// Gives the space of a part of the file back, whose bytes nobody reads any more: they are zeros then, or what they were where the file system
    /// cannot do it. The size stays. fallocate(2) FALLOC_FL_PUNCH_HOLE.
    func returnSpace(_ range: Range<UInt64>) throws(WALError)
    /// ftruncate(2).
    func truncate(to size: UInt64) throws(WALError)
    /// fdatasync(2): every write to this file since it was opened, through mappings too, is on stable storage on return.
    func sync() throws(WALError)
    /// mmap(2), shared, not inherited by forks. `offset` is a multiple of 4096.
    func map(offset: UInt64, length: Int, writable: Bool) throws(WALError) -> any Mapping
    /// Tries an open-file-description lock on byte `byte` of the file without waiting; false when another description has a
    /// conflicting one. A shared lock may be asked for on a file opened for reading only.
    func tryLock(byte: UInt64, _ kind: LockKind) throws(WALError) -> Bool
    func unlock(byte: UInt64) throws(WALError)
    /// Whether another description holds a lock that an exclusive one would conflict with. Disturbs nobody.
    func isLockedByOther(byte: UInt64) throws(WALError) -> Bool
    func close()
}

extension File {
    package func returnSpace(_ range: Range<UInt64>) throws(WALError) {}
}

package enum LockKind: Sendable { case shared, exclusive }

/// A mapped range of a file. The memory stays valid until `unmap()` or, at the latest, until the object goes.
package protocol Mapping: AnyObject, Sendable {
    var base: UnsafeMutableRawPointer { get }
    var count: Int { get }
    /// Has the pages of a part of the mapping in memory and in the page tables, so that touching them costs no fault: for writing, or for reading
    /// only, which makes none of them dirty. madvise(2) MADV_POPULATE_WRITE, MADV_POPULATE_READ. Changes no byte, and may run beside those who
    /// write there. Advice: where the kernel has no such call (before 5.14), or fails, the faults come later.
    func populate(_ range: Range<Int>, forWriting: Bool)
    func unmap()
}
