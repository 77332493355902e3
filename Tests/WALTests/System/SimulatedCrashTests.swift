import Testing
import TestSupport
import WAL

/// What a simulated crash keeps, drops and tears: exactly what was promised, and everything that was not.
@Suite struct SimulatedCrashTests {
    private static let page = 4096

    /// A machine with the durable directory /d.
    private func machine() throws -> SimulatedFileSystem {
        let machine = SimulatedFileSystem()
        try machine.makeDirectory("/d")
        try machine.syncDirectory("/")
        return machine
    }

    /// A machine with the durable file /d/f of `pages` pages of ones.
    private func machine(pages: Int) throws -> SimulatedFileSystem {
        let machine = try machine()
        let file = try machine.open("/d/f", .createNew)
        defer { file.close() }
        try file.write([UInt8](repeating: 1, count: pages * Self.page), at: 0)
        try file.sync()
        try machine.syncDirectory("/d")
        return machine
    }

    private func bytes(_ value: UInt8, _ count: Int = page) -> [UInt8] { [UInt8](repeating: value, count: count) }

    // MARK: What must survive

    @Test func syncedBytesAndNamesSurviveEveryCrash() throws {
        let machine = try machine(pages: 3)
        let file = try machine.open("/d/f", .readWrite)
        try file.write(bytes(2), at: 0)
        try file.sync()
        for seed in 0..<50 as Range<UInt64> {
            for order in DirectoryOrder.allCases {
                let after = machine.crash(seed: seed, directories: order)
                #expect(try after.contents("/d/f") == bytes(2) + bytes(1, 2 * Self.page), "seed \(seed)")
            }
        }
    }

    @Test func syncOfAMappingKeepsWhatWasWrittenThroughIt() throws {
        let machine = try machine(pages: 2)
        let file = try machine.open("/d/f", .readWrite)
        let mapping = try file.map(offset: 4096, length: 4096, writable: true)
        mapping.base.storeBytes(of: 9, toByteOffset: 100, as: UInt8.self)
        try file.sync()
        mapping.base.storeBytes(of: 8, toByteOffset: 101, as: UInt8.self)
        let after = machine.crash(choosing: DropEverything())
        #expect(try Array(after.contents("/d/f")[4096 + 99..<4096 + 103]) == [1, 9, 1, 1])
        mapping.unmap()
    }

    // MARK: What may be lost

    @Test func unsyncedNameMayBeLostAlthoughTheFileWasSynced() throws {
        let machine = try machine()
        let file = try machine.open("/d/new", .createNew)
        try file.write([1, 2, 3], at: 0)
        try file.sync()
        #expect(try machine.crash(choosing: DropEverything()).list("/d") == [])
        #expect(try machine.crash(choosing: KeepEverything()).contents("/d/new") == [1, 2, 3])
    }

    @Test func syncedNameOfAnUnsyncedFileIsAnEmptyFile() throws {
        let machine = try machine()
        try machine.create("/d/new", [1, 2, 3])
        try machine.syncDirectory("/d")
        #expect(try machine.crash(choosing: DropEverything()).contents("/d/new") == [])
        #expect(try machine.crash(choosing: KeepEverything()).contents("/d/new") == [1, 2, 3])
    }

    @Test func everyFateOfEveryPageCanHappen() throws {
        let machine = try machine(pages: 2)
        let file = try machine.open("/d/f", .readWrite)
        try file.write(bytes(2, 2 * Self.page), at: 0)
        var outcomes: Set<[UInt8]> = []
        for seed in 0..<200 as Range<UInt64> {
            let after = try machine.crash(seed: seed).contents("/d/f")
            #expect(after.count == 2 * Self.page)
            // One byte stands for each sector; inside a sector nothing is mixed.
            let sectors = stride(from: 0, to: after.count, by: 512).map { start in
                #expect(Set(after[start..<start + 512]).count == 1, "seed \(seed): a torn sector")
                return after[start]
            }
            outcomes.insert(sectors)
        }
        let (old, new) = (bytes(1, 8), bytes(2, 8))
        for whole in [old + old, old + new, new + old, new + new] { #expect(outcomes.contains(whole)) }
        #expect(outcomes.contains { Set($0[0..<8]).count == 2 }, "some page is torn")
    }

    @Test func tornPageHasTheChosenSectors() throws {
        let machine = try machine(pages: 1)
        let file = try machine.open("/d/f", .readWrite)
        try file.write(bytes(2), at: 0)
        struct Tear: CrashChooser {
            mutating func keeps(_ change: DirectoryChange) -> Bool { true }
            mutating func size(of path: String, synced: Int, volatile: Int) -> Int { synced }
            mutating func fate(ofPage page: Int, in path: String) -> PageFate {
                #expect(path == "/d/f")
                return .tear(newSectors: 0b1000_0101)
            }
        }
        let after = try machine.crash(choosing: Tear()).contents("/d/f")
        #expect(stride(from: 0, to: 4096, by: 512).map { after[$0] } == [2, 1, 2, 1, 1, 1, 1, 2])
    }

    @Test func sizeThatSurvivesLiesBetweenSyncedAndVolatile() throws {
        let machine = try machine(pages: 1)
        let file = try machine.open("/d/f", .readWrite)
        try file.allocate(offset: 0, length: 8 * 4096)
        var sizes: Set<Int> = []
        for seed in 0..<100 as Range<UInt64> { sizes.insert(try machine.crash(seed: seed).contents("/d/f").count) }
        #expect(sizes.isSubset(of: Set((1...8).map { $0 * 4096 })))
        #expect(sizes.contains(4096))
        #expect(sizes.contains(8 * 4096))
        #expect(sizes.count > 2)
        try file.sync()
        #expect(try machine.crash(choosing: DropEverything()).contents("/d/f").count == 8 * 4096)
    }

    // MARK: Names

    @Test func renameHappensWholeOrNotAtAll() throws {
        let machine = try machine(pages: 1)
        let file = try machine.open("/d/f.tmp", .createNew)
        try file.write([7], at: 0)
        try file.sync()
        file.close()
        try machine.rename("/d/f.tmp", to: "/d/f")
        var outcomes: Set<[String]> = []
        for seed in 0..<100 as Range<UInt64> {
            for order in DirectoryOrder.allCases {
                let after = machine.crash(seed: seed, directories: order)
                outcomes.insert(try after.list("/d").sorted().map { try "\($0) \(after.contents("/d/\($0)").count)" })
            }
        }
        #expect(outcomes == [["f 4096"], ["f 4096", "f.tmp 1"], ["f 1"]])
    }

    @Test func orderedChangesOfADirectorySurviveAsAPrefix() throws {
        let machine = try machine()
        for number in 0..<4 { try machine.create("/d/\(number)") }
        let prefixes = (0...4).map { Set((0..<$0).map(String.init)) }
        var seen: Set<Set<String>> = []
        for seed in 0..<200 as Range<UInt64> {
            let names = try Set(machine.crash(seed: seed).list("/d"))
            #expect(prefixes.contains(names), "seed \(seed): \(names)")
            seen.insert(names)
        }
        #expect(seen.count == 5)
        let anyOrder = try (0..<200).map { try Set(machine.crash(seed: $0, directories: .anyOrder).list("/d")) }
        #expect(anyOrder.contains { !prefixes.contains($0) })
    }

    @Test func directoriesAreIndependentButARenameBetweenThemIsOne() throws {
        let machine = try machine()
        try machine.makeDirectory("/e")
        try machine.create("/d/f", [1])
        try machine.syncDirectory("/")
        try machine.syncDirectory("/d")
        try machine.rename("/d/f", to: "/e/f")
        for seed in 0..<50 as Range<UInt64> {
            for order in DirectoryOrder.allCases {
                let after = machine.crash(seed: seed, directories: order)
                #expect(try after.list("/d") + after.list("/e") == ["f"], "seed \(seed)")
            }
        }
        try machine.syncDirectory("/e")
        let after = machine.crash(choosing: DropEverything())
        #expect(try after.list("/d") == [])
        #expect(try after.list("/e") == ["f"])
    }

    @Test func unsyncedUnlinkMayBringTheFileBack() throws {
        let machine = try machine(pages: 1)
        try machine.unlink("/d/f")
        #expect(try machine.crash(choosing: DropEverything()).contents("/d/f") == bytes(1))
        #expect(try machine.crash(choosing: KeepEverything()).list("/d") == [])
        try machine.syncDirectory("/d")
        #expect(try machine.crash(choosing: DropEverything()).list("/d") == [])
    }

    @Test func directoryItselfIsLostWithItsUnsyncedName() throws {
        let machine = try machine()
        try machine.makeDirectory("/d/sub")
        try machine.create("/d/sub/f", [1])
        try machine.syncDirectory("/d/sub")
        #expect(try machine.crash(choosing: DropEverything()).list("/d") == [])
        try machine.syncDirectory("/d")
        #expect(try machine.crash(choosing: DropEverything()).list("/d/sub") == ["f"])
    }

    // MARK: Machines

    @Test func crashLeavesTheMachineAsItIs() throws {
        let machine = try machine(pages: 1)
        let file = try machine.open("/d/f", .readWrite)
        #expect(try file.tryLock(byte: 0, .exclusive))
        try file.write(bytes(2), at: 0)
        let (bootID, identity) = (try machine.bootID(), try file.status().inode)
        let after = machine.crash(choosing: DropEverything())
        #expect(try after.contents("/d/f") == bytes(1))
        #expect(try after.bootID() != bootID)
        #expect(try after.status("/d/f")?.inode == identity)
        #expect(try after.open("/d/f", .readWrite).tryLock(byte: 0, .exclusive), "locks are released")
        #expect(try machine.contents("/d/f") == bytes(2))
        #expect(try machine.bootID() == bootID)
        try file.write(bytes(3), at: 0)
        try file.sync()
        #expect(try after.contents("/d/f") == bytes(1), "the dead disturb nobody")
    }

    @Test func sameSeedGivesTheSameOutcome() throws {
        let machine = try machine(pages: 8)
        let file = try machine.open("/d/f", .readWrite)
        try file.write(bytes(2, 20 * Self.page), at: 0)
        for number in 0..<5 { try machine.create("/d/\(number)", [1]) }
        for seed in 0..<20 as Range<UInt64> {
            let (one, other) = (machine.crash(seed: seed), machine.crash(seed: seed))
            #expect(try one.list("/d").sorted() == other.list("/d").sorted())
            #expect(try one.contents("/d/f") == other.contents("/d/f"))
        }
    }

    @Test func killKeepsThePageCacheAndReleasesTheRest() throws {
        let machine = try machine(pages: 1)
        let file = try machine.open("/d/f", .readWrite)
        #expect(try file.tryLock(byte: 0, .exclusive))
        let mapping = try file.map(offset: 0, length: 4096, writable: true)
        mapping.base.storeBytes(of: 2, as: UInt8.self)
        try machine.create("/d/new", [5])
        let after = machine.kill()
        #expect(try after.contents("/d/f") == [2] + bytes(1, 4095))
        #expect(try after.contents("/d/new") == [5])
        #expect(try after.bootID() == machine.bootID())
        let reopened = try after.open("/d/f", .readWrite)
        #expect(try reopened.tryLock(byte: 0, .exclusive))
        #expect(after.counters.openFiles == 1)
        #expect(after.counters.mappings == 0)
        mapping.base.storeBytes(of: 3, as: UInt8.self)
        #expect(try after.contents("/d/f")[0] == 2, "the dead write nowhere")
        // Written before the kill, lost by the power failure after it: nobody has synced it.
        #expect(try after.crash(choosing: DropEverything()).contents("/d/f") == bytes(1))
        try reopened.sync()
        #expect(try after.crash(choosing: DropEverything()).contents("/d/f")[0] == 2)
        mapping.unmap()
    }

    @Test func unlinkedOpenFileDiesWithItsProcess() throws {
        let machine = try machine(pages: 1)
        let file = try machine.open("/d/f", .read)
        try machine.unlink("/d/f")
        try machine.syncDirectory("/d")
        #expect(try file.bytes(at: 0, count: 1) == [1])
        #expect(try machine.kill().list("/d") == [])
    }

    @Test func observerSeesTheStateBeforeEachCall() throws {
        let machine = try machine(pages: 1)
        let states = Recorder<String>()
        machine.observe { call, path in
            let after = machine.crash(choosing: KeepEverything())
            // The calls are those of the other machine: this one is not called from inside its observer.
            let names = (try? after.list("/d").sorted()) ?? []
            states.append("\(call) \(path) \(names)")
        }
        try machine.create("/d/g", [1])
        try machine.unlink("/d/f")
        machine.observe(nil)
        #expect(
            states.values == [
                #"open /d/g ["f"]"#, #"write /d/g ["f", "g"]"#, #"unlink /d/f ["f", "g"]"#,
            ])
    }
}
