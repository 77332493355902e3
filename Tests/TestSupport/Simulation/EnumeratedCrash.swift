/// Goes through every way in which a machine can lose power now: each unsynced page old or new, each unsynced directory change made or not,
/// each unsynced length old or new. Torn pages are the seeded chooser's.
///
/// A decision tree is walked depth first: the answers so far are a path from the root, and a question past its end is answered with "lost".
final class EnumeratedFates {
    private var path: [Bool] = []
    private var position = 0

    func answer() -> Bool {
        if position == path.count { path.append(false) }
        defer { position += 1 }
        return path[position]
    }

    /// Goes to the next leaf of the tree; false after the last.
    func advance() -> Bool {
        position = 0
        while path.last == true { path.removeLast() }
        guard !path.isEmpty else { return false }
        path[path.count - 1] = true
        return true
    }

    var description: String { "fates " + path.map { $0 ? "1" : "0" }.joined() }
}

private struct EnumeratedCrash: CrashChooser {
    let fates: EnumeratedFates
    func keeps(_ change: DirectoryChange) -> Bool { fates.answer() }
    func size(of path: String, synced: Int, volatile: Int) -> Int { fates.answer() ? volatile : synced }
    func fate(ofPage page: Int, in path: String) -> PageFate { fates.answer() ? .keep : .drop }
}

/// Counts what is not synced: the questions of a crash that keeps everything.
private final class UnsyncedCount: CrashChooser {
    var count = 0
    func keeps(_ change: DirectoryChange) -> Bool {
        count += 1
        return true
    }
    func size(of path: String, synced: Int, volatile: Int) -> Int {
        count += 1
        return volatile
    }
    func fate(ofPage page: Int, in path: String) -> PageFate {
        count += 1
        return .keep
    }
}

extension SimulatedFileSystem {
    /// How many pages, names and lengths are not synced now.
    package func unsyncedCount() -> Int {
        let counter = UnsyncedCount()
        _ = crash(choosing: counter)
        return counter.count
    }

    /// Calls `body` with every machine that power failure could leave now (directory changes in any order, no page torn), and what was chosen.
    package func everyCrash(_ body: (SimulatedFileSystem, String) -> Void) {
        let fates = EnumeratedFates()
        repeat {
            let after = crash(choosing: EnumeratedCrash(fates: fates), directories: .anyOrder)
            body(after, fates.description)
        } while fates.advance()
    }
}
