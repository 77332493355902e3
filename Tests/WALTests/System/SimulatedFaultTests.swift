import Glibc
import Testing
import TestSupport
import WAL

/// Injected errors, the full disk, and what the simulated machine counts.
@Suite struct SimulatedFaultTests {
    private let machine = SimulatedFileSystem()

    private func make(_ path: String, _ bytes: [UInt8]) throws -> any File {
        let file = try machine.open(path, .createNew)
        try file.write(bytes, at: 0)
        try file.sync()
        try machine.syncDirectory("/")
        return file
    }

    // MARK: The failed flush

    @Test func failedSyncLosesPagesThatLaterSyncsCallClean() throws {
        let file = try make("/f", [1])
        machine.inject(SimulatedFault(.sync, errno: EIO))
        try file.write([2], at: 0)
        expectIO("fdatasync", EIO, "/f") { try file.sync() }
        try file.sync()
        #expect(try machine.contents("/f") == [2], "the page cache still shows it")
        #expect(try machine.syncedBytes("/f") == [1])
        #expect(try machine.crash(choosing: KeepEverything()).contents("/f") == [1], "it is not dirty any more")
        #expect(try machine.kill().contents("/f") == [2], "the next process sees it too")
        machine.evict("/f")
        #expect(try machine.contents("/f") == [1])
    }

    @Test func lostStaysLostAcrossAKill() throws {
        let file = try make("/f", [1])
        machine.inject(SimulatedFault(.sync, errno: EIO))
        try file.write([2], at: 0)
        expectIO("fdatasync", EIO, "/f") { try file.sync() }
        let after = machine.kill()
        let reopened = try after.open("/f", .readWrite)
        try reopened.sync()
        #expect(try after.crash(choosing: KeepEverything()).contents("/f") == [1])
    }

    @Test func lostPageIsWrittenOnceItIsDirtyAgain() throws {
        let file = try make("/f", [1, 1])
        machine.inject(SimulatedFault(.sync, errno: EIO))
        try file.write([2], at: 0)
        expectIO("fdatasync", EIO, "/f") { try file.sync() }
        try file.write([3], at: 1)
        machine.evict()
        #expect(try machine.contents("/f") == [2, 3], "a dirty page is not evicted")
        try file.sync()
        #expect(try machine.crash(choosing: DropEverything()).contents("/f") == [2, 3])
    }

    @Test func rewritingTheSameBytesDirtiesALostPage() throws {
        let file = try make("/f", [1])
        machine.inject(SimulatedFault(.sync, errno: EIO))
        try file.write([2], at: 0)
        expectIO("fdatasync", EIO, "/f") { try file.sync() }
        try file.write([2], at: 0)
        try file.sync()
        #expect(try machine.crash(choosing: DropEverything()).contents("/f") == [2])
    }

    @Test func failedSyncOfAGrowingFileLosesItsNewPages() throws {
        let file = try make("/f", [])
        machine.inject(SimulatedFault(.sync, errno: EIO))
        try file.write([UInt8](repeating: 4, count: 5000), at: 0)
        expectIO("fdatasync", EIO, "/f") { try file.sync() }
        try file.sync()
        #expect(try machine.crash(choosing: KeepEverything()).contents("/f") == [UInt8](repeating: 0, count: 5000))
    }

    // MARK: Faults

    @Test func faultMeetsTheChosenCallsOnly() throws {
        machine.inject(SimulatedFault(.write, on: "*.wal", first: 2, count: 2, errno: EIO))
        let file = try machine.open("/a.wal", .createNew)
        let other = try machine.open("/b", .createNew)
        for _ in 0..<5 { try other.write([1], at: 0) }
        try file.write([1], at: 0)
        for _ in 0..<2 { expectIO("pwrite", EIO, "/a.wal") { try file.write([2], at: 0) } }
        try file.write([3], at: 0)
        #expect(try machine.contents("/a.wal") == [3])
    }

    @Test func failedNameCallsChangeNothing() throws {
        try machine.create("/a", [1])
        for call in [SimulatedCall.unlink, .rename, .list, .makeDirectory, .syncDirectory, .open, .status] {
            machine.inject(SimulatedFault(call, errno: EIO))
        }
        expectIO("unlink", EIO, "/a") { try machine.unlink("/a") }
        expectIO("rename", EIO, "/a") { try machine.rename("/a", to: "/b") }
        expectIO("opendir", EIO, "/") { _ = try machine.list("/") }
        expectIO("mkdir", EIO, "/d") { try machine.makeDirectory("/d") }
        expectIO("fsync", EIO, "/") { try machine.syncDirectory("/") }
        expectIO("open", EIO, "/c") { _ = try machine.open("/c", .createNew) }
        expectIO("lstat", EIO, "/a") { _ = try machine.status("/a") }
        #expect(try machine.list("/") == ["a"])
        #expect(try machine.crash(choosing: DropEverything()).list("/") == [], "the failed directory sync synced nothing")
    }

    @Test func removedFaultsAreGone() throws {
        machine.inject(SimulatedFault(.list, count: .max, errno: EMFILE))
        for _ in 0..<3 { expectIO("opendir", EMFILE, "/") { _ = try machine.list("/") } }
        machine.removeFaults()
        #expect(try machine.list("/") == [])
    }

    // MARK: Space

    @Test func spaceRunsOutAndComesBack() throws {
        machine.setFreeSpace(3 * 4096)
        let file = try machine.open("/f", .createNew)
        try file.allocate(offset: 0, length: 2 * 4096)
        #expect(machine.freeSpace == 4096)
        let other = try machine.open("/g", .createNew)
        #expect(throws: WALError.noSpace(path: "/g")) { try other.allocate(offset: 0, length: 2 * 4096) }
        #expect(machine.freeSpace == 0)
        try file.write([1], at: 5000)
        #expect(throws: WALError.noSpace(path: "/f")) { try file.write([1], at: 8192) }
        other.close()
        try machine.unlink("/g")
        try machine.syncDirectory("/")
        #expect(machine.freeSpace == 4096)
        try file.write([1], at: 8192)
        try file.truncate(to: 100)
        #expect(machine.freeSpace == 2 * 4096)
    }

    @Test func writeThatDoesNotFitIsCutAtThePageThatFits() throws {
        machine.setFreeSpace(4096)
        let file = try machine.open("/f", .createNew)
        #expect(throws: WALError.noSpace(path: "/f")) { try file.write([UInt8](repeating: 1, count: 5000), at: 0) }
        #expect(try file.status().size == 4096)
    }

    @Test func quotaIsNoSpaceToo() throws {
        machine.inject(SimulatedFault(.write, errno: EDQUOT))
        let file = try machine.open("/f", .createNew)
        #expect(throws: WALError.noSpace(path: "/f")) { try file.write([1], at: 0) }
    }

    @Test func crashGivesBackTheSpaceOfWhatIsLost() throws {
        machine.setFreeSpace(10 * 4096)
        let kept = try make("/kept", [1])
        try machine.create("/lost", [UInt8](repeating: 1, count: 3 * 4096))
        try kept.allocate(offset: 0, length: 4 * 4096)
        #expect(machine.freeSpace == 3 * 4096)
        #expect(machine.crash(choosing: DropEverything()).freeSpace == 9 * 4096)
        #expect(machine.crash(choosing: KeepEverything()).freeSpace == 3 * 4096)
        #expect(machine.kill().freeSpace == 3 * 4096)
    }

    @Test func fileLongerThanTheMachineAllowsIsAnError() throws {
        let small = SimulatedFileSystem(maximumFileSize: 65536)
        let file = try small.open("/f", .createNew)
        expectIO("fallocate", EFBIG, "/f") { try file.allocate(offset: 0, length: 65537) }
        expectIO("pwrite", EFBIG, "/f") { try file.write([1], at: .max) }
        expectIO("ftruncate", EFBIG, "/f") { try file.truncate(to: .max) }
        #expect(try file.status().size == 0)
    }

    // MARK: Damage and counters

    @Test func damageIsOnDiskAndInMemoryAndNotDirty() throws {
        _ = try make("/f", [1, 2, 3])
        try machine.damage("/f", at: 1, xor: 0x80)
        #expect(try machine.contents("/f") == [1, 0x82, 3])
        #expect(try machine.crash(choosing: DropEverything()).contents("/f") == [1, 0x82, 3])
    }

    @Test func countersFollowWhatIsOpen() throws {
        let first = try machine.open("/a", .createNew)
        try first.allocate(offset: 0, length: 4096)
        var second: (any File)? = try machine.open("/a", .read)
        var mapping: (any Mapping)? = try second?.map(offset: 0, length: 4096, writable: false)
        #expect(machine.counters.openFiles == 2)
        #expect(machine.counters.mappings == 1)
        #expect(mapping?.count == 4096)
        second = nil
        mapping = nil
        #expect(machine.counters.openFiles == 1, "an object that goes closes its file")
        #expect(machine.counters.mappings == 0)
        first.close()
        let counters = machine.counters
        #expect(counters.openFiles == 0)
        #expect(counters.openFilesPeak == 2)
        #expect(counters.mappingsPeak == 1)
        #expect(counters[.open] == 2)
        #expect(counters[.map] == 1)
        #expect(counters[.sync] == 0)
        machine.resetCounters()
        #expect(machine.counters[.open] == 0)
        #expect(machine.counters.openFilesPeak == 0)
        #expect(second == nil)
    }

    @Test func regionsOfRemovedFilesComeBackAsZeros() throws {
        for round in 0..<20 as Range<UInt8> {
            let file = try make("/f", [UInt8](repeating: round + 1, count: 10_000))
            file.close()
            try machine.unlink("/f")
            try machine.syncDirectory("/")
            let fresh = try machine.open("/g", .createNew)
            try fresh.allocate(offset: 0, length: 10_000)
            #expect(try machine.contents("/g") == [UInt8](repeating: 0, count: 10_000))
            fresh.close()
            try machine.unlink("/g")
            try machine.syncDirectory("/")
        }
    }

    @Test func threadsMayWriteThroughAMappingWhileAnotherSyncs() async throws {
        let file = try machine.open("/f", .createNew)
        try file.allocate(offset: 0, length: 8 * 4096)
        let mapping = try file.map(offset: 0, length: 8 * 4096, writable: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for index in 0..<2048 {
                        mapping.base.storeBytes(of: 7, toByteOffset: index * 16 + writer * 4, as: UInt32.self)
                    }
                }
            }
            group.addTask { for _ in 0..<50 { try file.sync() } }
            try await group.waitForAll()
        }
        try file.sync()
        let expected = [UInt8]((0..<8192).flatMap { _ in [7, 0, 0, 0] as [UInt8] })
        #expect(try machine.syncedBytes("/f") == expected)
        mapping.unmap()
    }
}
