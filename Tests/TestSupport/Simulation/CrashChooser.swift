/// Decides what a power failure leaves of everything that was not synced. Questions come in an order that depends only on
/// the state of the machine, so a seeded chooser gives the same outcome every time.
package protocol CrashChooser {
    /// Whether a directory change survives.
    mutating func keeps(_ change: DirectoryChange) -> Bool
    /// The length that survives, between the two given.
    mutating func size(of path: String, synced: Int, volatile: Int) -> Int
    /// What survives of a dirty 4096-byte page.
    mutating func fate(ofPage page: Int, in path: String) -> PageFate
}

/// What becomes of a dirty page.
package enum PageFate: Hashable, Sendable {
    case keep
    case drop
    /// Bit k set: sector k (512 bytes) of the page is the new one. Sectors are written whole.
    case tear(newSectors: UInt8)

    func keeps(sector: Int) -> Bool {
        switch self {
        case .keep: true
        case .drop: false
        case .tear(let newSectors): newSectors >> sector & 1 == 1
        }
    }
}

/// A change to directory entries, with the paths as the caller gave them. A rename is one change: atomic.
package enum DirectoryChange: Hashable, Sendable {
    case create(String)
    case remove(String)
    case rename(from: String, to: String)
}

/// Which unsynced directory changes a crash may keep.
package enum DirectoryOrder: Sendable, CaseIterable {
    /// Of each directory a prefix of its changes, in order: what a journal gives (ext4, XFS and btrfs commit metadata in
    /// order). A rename between two directories is cut off in both or neither.
    case ordered
    /// Any subset: stricter than the kernel's file systems, and all that POSIX promises.
    case anyOrder
}

/// Everything had just reached the disk.
package struct KeepEverything: CrashChooser {
    package init() {}
    package func keeps(_ change: DirectoryChange) -> Bool { true }
    package func size(of path: String, synced: Int, volatile: Int) -> Int { volatile }
    package func fate(ofPage page: Int, in path: String) -> PageFate { .keep }
}

/// Only what was synced is there.
package struct DropEverything: CrashChooser {
    package init() {}
    package func keeps(_ change: DirectoryChange) -> Bool { false }
    package func size(of path: String, synced: Int, volatile: Int) -> Int { synced }
    package func fate(ofPage page: Int, in path: String) -> PageFate { .drop }
}

/// Random fates. How likely things survive is drawn once for each crash, between never and always, so that a run of seeds
/// meets both extremes and everything between.
package struct SeededCrash: CrashChooser {
    private var random: SeededGenerator
    private let pageChance: Int
    private let changeChance: Int

    package init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        pageChance = Int.random(in: 0...4, using: &random)
        changeChance = Int.random(in: 0...4, using: &random)
    }

    package mutating func keeps(_ change: DirectoryChange) -> Bool {
        Int.random(in: 0..<4, using: &random) < changeChance
    }

    package mutating func size(of path: String, synced: Int, volatile: Int) -> Int {
        switch Int.random(in: 0..<3, using: &random) {
        case 0: return synced
        case 1: return volatile
        default:
            // File systems move the size as pages are written: somewhere between, on a page boundary or at an end.
            let between = Int.random(in: min(synced, volatile)...max(synced, volatile), using: &random)
            return max(min(synced, volatile), between / SimulatedFileNode.pageSize * SimulatedFileNode.pageSize)
        }
    }

    package mutating func fate(ofPage page: Int, in path: String) -> PageFate {
        if Int.random(in: 0..<4, using: &random) == 0 {
            return .tear(newSectors: UInt8.random(in: .min ... .max, using: &random))
        }
        return Int.random(in: 0..<4, using: &random) < pageChance ? .keep : .drop
    }
}
