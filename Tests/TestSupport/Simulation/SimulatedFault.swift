import Glibc
import WAL

/// The calls of the file system seam. The raw value is the C name that errors carry.
package enum SimulatedCall: Hashable, Sendable, CaseIterable {
    case open, status, list, makeDirectory, rename, unlink, syncDirectory, bootID
    case fileStatus, read, write, allocate, truncate, sync, map, lock, unlock, probe

    /// Whether the call can change what a crash leaves. (An open can create a file.)
    package var changesTheDisk: Bool {
        switch self {
        case .open, .makeDirectory, .rename, .unlink, .syncDirectory, .write, .allocate, .truncate, .sync: true
        case .status, .list, .bootID, .fileStatus, .read, .map, .lock, .unlock, .probe: false
        }
    }

    var cName: String {
        switch self {
        case .open: "open"
        case .status: "lstat"
        case .list: "opendir"
        case .makeDirectory: "mkdir"
        case .rename: "rename"
        case .unlink: "unlink"
        case .syncDirectory: "fsync"
        case .bootID, .read: "pread"
        case .fileStatus: "fstat"
        case .write: "pwrite"
        case .allocate: "fallocate"
        case .truncate: "ftruncate"
        case .sync: "fdatasync"
        case .map: "mmap"
        case .lock, .unlock, .probe: "fcntl"
        }
    }
}

/// Calls that fail: of those named `call` on a path like `pattern`, counted from the injection on, the `first`-th (from 1)
/// and the `count` − 1 after it.
///
/// A failed call does nothing, but for `sync`: as on Linux, the dirty pages are marked clean without being on storage, the
/// next sync says Ok, and reads show them until they are evicted.
package struct SimulatedFault: Sendable {
    package var call: SimulatedCall
    /// A glob as of fnmatch(3) for the whole path, in which `*` also matches `/`.
    package var pattern: String
    package var first: Int
    package var count: Int
    package var errno: Int32
    private var seen = 0

    package init(_ call: SimulatedCall, on pattern: String = "*", first: Int = 1, count: Int = 1, errno: Int32) {
        precondition(first >= 1, "calls are counted from 1")
        self.call = call
        self.pattern = pattern
        self.first = first
        self.count = count
        self.errno = errno
    }

    /// Counts the call if it is one of these; whether it fails.
    mutating func meets(_ call: SimulatedCall, _ paths: [String]) -> Bool {
        guard call == self.call, paths.contains(where: { Glob.matches(pattern, $0) }) else { return false }
        seen += 1
        return seen >= first && seen - first < count
    }
}

enum Glob {
    static func matches(_ pattern: String, _ path: String) -> Bool { fnmatch(pattern, path, 0) == 0 }
}

/// How many calls there were, and what is open.
package struct SimulatedCounters: Sendable {
    package internal(set) var calls: [SimulatedCall: Int] = [:]
    package internal(set) var openFiles = 0
    package internal(set) var openFilesPeak = 0
    package internal(set) var mappings = 0
    package internal(set) var mappingsPeak = 0

    package subscript(_ call: SimulatedCall) -> Int { calls[call, default: 0] }
}
