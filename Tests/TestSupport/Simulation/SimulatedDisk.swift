import Glibc
import WAL

/// The state of a simulated machine: files and directories, each with what is on stable storage beside what processes see,
/// and the boot. A value except for the page cache's bytes, so that a crash is a function from one to another.
///
/// Not thread-safe: `SimulatedFileSystem` holds it under its mutex.
struct SimulatedDisk {
    typealias Inode = UInt64

    struct Directory {
        /// Entries as processes see them, and as they are on stable storage.
        var volatile: [String: Inode] = [:]
        var synced: [String: Inode] = [:]
    }
    /// Entry changes that happen together or not at all.
    struct Change {
        var label: DirectoryChange
        var edits: [(directory: Inode, name: String, inode: Inode?)]
    }

    static let root: Inode = 1
    let cache: SimulatedPageCache
    private(set) var files: [Inode: SimulatedFileNode] = [:]
    private(set) var directories: [Inode: Directory] = [root: Directory()]
    /// Changes that no directory sync has made durable, in the order in which they were made.
    private(set) var journal: [Change] = []
    /// Bytes of free space; nil is without limit.
    var space: Int?
    private(set) var bootID: BootID
    private var nextInode: Inode = root + 1
    /// Files that only a process can still reach, as of the last change of a name.
    private var orphans: Set<Inode> = []

    init(maximumFileSize: Int) {
        cache = SimulatedPageCache(regionSize: maximumFileSize)
        bootID = BootID(high: 0x5157_4153_4849_5053, low: 1)
    }

    // MARK: Names

    private static func components(_ path: String) -> [String] {
        var result: [String] = []
        for part in path.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = result.popLast()
            default: result.append(String(part))
            }
        }
        return result
    }

    func inode(at path: String) throws(SimulatedErrno) -> Inode {
        var current = Self.root
        for name in Self.components(path) {
            guard let directory = directories[current] else { throw SimulatedErrno(ENOTDIR) }
            guard let next = directory.volatile[name] else { throw SimulatedErrno(ENOENT) }
            current = next
        }
        return current
    }

    func directory(at path: String) throws(SimulatedErrno) -> Inode {
        let inode = try inode(at: path)
        guard directories[inode] != nil else { throw SimulatedErrno(ENOTDIR) }
        return inode
    }

    /// The directory that holds the last component of `path`, and that component.
    private func parent(of path: String) throws(SimulatedErrno) -> (Inode, String) {
        var parts = Self.components(path)
        guard let name = parts.popLast() else { throw SimulatedErrno(EBUSY) }
        return (try directory(at: parts.joined(separator: "/")), name)
    }

    // MARK: Operations on names

    mutating func open(_ path: String, _ mode: OpenMode) throws(SimulatedErrno) -> Inode {
        let (directory, name) = try parent(of: path)
        if let inode = directories[directory]!.volatile[name] {
            if mode == .createNew { throw SimulatedErrno(EEXIST) }
            guard files[inode] != nil else { throw SimulatedErrno(EISDIR) }
            files[inode]!.descriptions += 1
            return inode
        }
        guard mode == .createNew || mode == .createIfAbsent else { throw SimulatedErrno(ENOENT) }
        let inode = takeInode()
        files[inode] = SimulatedFileNode(region: cache.take())
        files[inode]!.descriptions = 1
        make(Change(label: .create(path), edits: [(directory, name, inode)]))
        return inode
    }

    mutating func makeDirectory(_ path: String) throws(SimulatedErrno) {
        let (directory, name) = try parent(of: path)
        guard directories[directory]!.volatile[name] == nil else { throw SimulatedErrno(EEXIST) }
        let inode = takeInode()
        directories[inode] = Directory()
        make(Change(label: .create(path), edits: [(directory, name, inode)]))
    }

    mutating func unlink(_ path: String) throws(SimulatedErrno) {
        let (directory, name) = try parent(of: path)
        guard let inode = directories[directory]!.volatile[name] else { return }
        guard files[inode] != nil else { throw SimulatedErrno(EISDIR) }
        make(Change(label: .remove(path), edits: [(directory, name, nil)]))
        collect()
    }

    mutating func rename(_ from: String, to: String) throws(SimulatedErrno) {
        let (source, oldName) = try parent(of: from)
        guard let inode = directories[source]!.volatile[oldName] else { throw SimulatedErrno(ENOENT) }
        let (target, newName) = try parent(of: to)
        if let replaced = directories[target]!.volatile[newName] {
            if replaced == inode { return }
            switch (files[inode] != nil, directories[replaced]) {
            case (true, .some): throw SimulatedErrno(EISDIR)
            case (false, nil): throw SimulatedErrno(ENOTDIR)
            case (false, let directory?) where !directory.volatile.isEmpty: throw SimulatedErrno(ENOTEMPTY)
            default: break
            }
        }
        if isInside(target, inode) { throw SimulatedErrno(EINVAL) }
        make(
            Change(
                label: .rename(from: from, to: to),
                edits: [(source, oldName, nil), (target, newName, inode)]))
        collect()
    }

    func list(_ path: String) throws(SimulatedErrno) -> [String] {
        Array(directories[try directory(at: path)]!.volatile.keys)
    }

    func status(of inode: Inode) -> FileStatus {
        guard let file = files[inode] else { return FileStatus(kind: .directory, size: 4096, inode: inode) }
        return FileStatus(kind: .regular, size: UInt64(file.size), inode: inode)
    }

    /// Makes the directory's entries durable, and with them whatever earlier changes they are tied to.
    mutating func syncDirectory(_ path: String) throws(SimulatedErrno) {
        var wanted: Set<Inode> = [try directory(at: path)]
        var committed: [Change] = []
        var remaining: [Change] = []
        for change in journal.reversed() {
            if change.edits.contains(where: { wanted.contains($0.directory) }) {
                wanted.formUnion(change.edits.map(\.directory))
                committed.append(change)
            } else {
                remaining.append(change)
            }
        }
        for change in committed.reversed() { commit(change) }
        journal = remaining.reversed()
        collect()
    }

    /// Runs `body` on an open file, with the page cache and the free space.
    mutating func withFile<Result>(
        _ inode: Inode,
        _ body: (inout SimulatedFileNode, SimulatedPageCache, inout Int?) throws(SimulatedErrno) -> Result
    ) throws(SimulatedErrno) -> Result {
        try body(&files[inode]!, cache, &space)
    }

    /// One open file description or mapping less.
    mutating func letGo(_ inode: Inode, _ body: (inout SimulatedFileNode) -> Void) {
        body(&files[inode]!)
        if !files[inode]!.isHeld && orphans.contains(inode) { collect() }
    }

    /// Clean pages of every file whose path `matches` leave memory.
    mutating func evict(where matches: (String) -> Bool) {
        for (path, inode) in paths() where matches(path) { files[inode]?.evict(cache) }
    }

    private mutating func make(_ change: Change) {
        for edit in change.edits { directories[edit.directory]!.volatile[edit.name] = edit.inode }
        journal.append(change)
    }

    private mutating func commit(_ change: Change) {
        for edit in change.edits { directories[edit.directory]!.synced[edit.name] = edit.inode }
    }

    private mutating func takeInode() -> Inode {
        nextInode += 1
        return nextInode - 1
    }

    /// Whether `inode` is `ancestor` or lies below it.
    private func isInside(_ inode: Inode, _ ancestor: Inode) -> Bool {
        guard let directory = directories[ancestor] else { return false }
        return inode == ancestor || directory.volatile.values.contains { isInside(inode, $0) }
    }

    /// Forgets files and directories that no name, no unsynced change and no process can reach, and frees their space.
    private mutating func collect() {
        var reached: Set<Inode> = [Self.root]
        var open = [Self.root]
        func visit(_ inode: Inode) { if reached.insert(inode).inserted { open.append(inode) } }
        for change in journal {
            for edit in change.edits {
                visit(edit.directory)
                if let inode = edit.inode { visit(inode) }
            }
        }
        while let inode = open.popLast() {
            guard let directory = directories[inode] else { continue }
            for entry in directory.volatile.values { visit(entry) }
            for entry in directory.synced.values { visit(entry) }
        }
        orphans = []
        for (inode, file) in files where !reached.contains(inode) {
            if file.isHeld {
                orphans.insert(inode)
                continue
            }
            cache.release(file.region, used: file.extent)
            if let free = space { space = free + file.allocated.count * SimulatedFileNode.pageSize }
            files[inode] = nil
        }
        directories = directories.filter { reached.contains($0.key) }
    }

    /// Every name of the tree with its full path, in order; a directory before what it holds.
    private func paths() -> [(path: String, inode: Inode)] {
        var result: [(String, Inode)] = []
        func visit(_ inode: Inode, _ path: String) {
            for (name, entry) in directories[inode]!.volatile.sorted(by: { $0.key < $1.key }) {
                result.append(("\(path)/\(name)", entry))
                if directories[entry] != nil { visit(entry, "\(path)/\(name)") }
            }
        }
        visit(Self.root, "")
        return result
    }
}

// MARK: Identity

extension SimulatedDisk {
    /// Follows from names, bytes and inodes, as processes see them and as they are on stable storage, and the boot.
    func contentHash() -> Int {
        var hasher = Hasher()
        hasher.combine(bootID)
        for (path, inode) in paths() {
            hasher.combine(path)
            // Whether a directory is a copy is told by an inode.
            hasher.combine(inode)
            guard let file = files[inode] else { continue }
            hasher.combine(file.size)
            cache.read(file.region, 0..<file.size).withUnsafeBytes { hasher.combine(bytes: $0) }
            file.synced.withUnsafeBytes { hasher.combine(bytes: $0) }
            hasher.combine(file.lost.keys.sorted())
        }
        for change in journal { hasher.combine(change.label) }
        return hasher.finalize()
    }
}

// MARK: Death and power failure

extension SimulatedDisk {
    /// The machine after every process died: page cache, unsynced changes and boot as they were; nothing open or locked.
    func afterKill() -> SimulatedDisk {
        var result = copy()
        for (inode, file) in files {
            let region = result.cache.take(cache.read(file.region, 0..<file.size))
            result.files[inode] = SimulatedFileNode(
                region: region, synced: file.synced, size: file.size, lost: file.lost, allocated: file.allocated)
        }
        result.collect()
        return result
    }

    /// The machine after power failed and came back: what was synced, and of the rest what `chooser` keeps.
    func afterCrash(_ chooser: inout some CrashChooser, _ order: DirectoryOrder) -> SimulatedDisk {
        var result = copy()
        for change in surviving(&chooser, order) { result.commit(change) }
        result.journal = []
        result.bootID = BootID(high: bootID.high, low: bootID.low + 1)
        for inode in directories.keys { result.directories[inode]!.volatile = result.directories[inode]!.synced }

        var done: Set<Inode> = []
        for (path, inode) in result.paths() {
            guard let file = files[inode], done.insert(inode).inserted else { continue }
            let bytes = file.afterCrash(path: path, cache, &chooser)
            let region = result.cache.take(bytes)
            let pages = (bytes.count + SimulatedFileNode.pageSize - 1) / SimulatedFileNode.pageSize
            let allocated = file.allocated.filter { $0 < pages }
            result.files[inode] = SimulatedFileNode(
                region: region, synced: bytes, size: bytes.count, lost: [:], allocated: allocated)
        }
        // Files that are gone, or shorter, have given their space back.
        if let free = space { result.space = free + (usedPages - result.usedPages) * SimulatedFileNode.pageSize }
        result.collect()
        return result
    }

    private var usedPages: Int { files.values.reduce(0) { $0 + $1.allocated.count } }

    /// This disk without its files, on a page cache of its own.
    private func copy() -> SimulatedDisk {
        var result = SimulatedDisk(maximumFileSize: cache.regionSize)
        result.directories = directories
        result.journal = journal
        result.space = space
        result.bootID = bootID
        result.nextInode = nextInode
        return result
    }

    private func surviving(_ chooser: inout some CrashChooser, _ order: DirectoryOrder) -> [Change] {
        // Directories of which a change was lost: in an ordered journal nothing after it survives.
        var cut: Set<Inode> = []
        var kept: [Change] = []
        for change in journal {
            let touched = Set(change.edits.map(\.directory))
            let possible = order == .anyOrder || cut.isDisjoint(with: touched)
            if possible, chooser.keeps(change.label) {
                kept.append(change)
            } else {
                cut.formUnion(touched)
            }
        }
        return kept
    }
}
