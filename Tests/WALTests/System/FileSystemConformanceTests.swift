import Glibc
import Testing
import TestSupport
import WAL

/// The contract of `FileSystem`, `File` and `Mapping`, on every implementation.
@Suite struct FileSystemConformanceTests {
    // MARK: Opening

    @Test(arguments: FileSystemKind.allCases) func openModesCreateOrRefuse(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/f"
            for mode in [OpenMode.read, .readWrite] {
                expectIO("open", ENOENT, path) { _ = try files.open(path, mode) }
            }
            #expect(try files.status(path) == nil)
            try files.create(path, [1, 2, 3])
            expectIO("open", EEXIST, path) { _ = try files.open(path, .createNew) }
            for mode in [OpenMode.read, .readWrite, .createIfAbsent] {
                let file = try files.open(path, mode)
                #expect(file.path == path)
                #expect(try file.bytes(at: 0, count: 10) == [1, 2, 3], "opening never truncates")
                file.close()
            }
            let made = try files.open("\(directory)/g", .createIfAbsent)
            #expect(try made.status().size == 0)
            made.close()
        }
    }

    @Test(arguments: FileSystemKind.allCases) func openInsideAFileOrNowhereIsAnError(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.create("\(directory)/f")
            let inside = "\(directory)/f/g"
            expectIO("open", ENOTDIR, inside) { _ = try files.open(inside, .createIfAbsent) }
            #expect(try files.status(inside) == nil)
            let nowhere = "\(directory)/none/g"
            expectIO("open", ENOENT, nowhere) { _ = try files.open(nowhere, .createIfAbsent) }
            #expect(try files.status(nowhere) == nil)
            expectIO("open", EISDIR, directory) { _ = try files.open(directory, .readWrite) }
        }
    }

    @Test(arguments: FileSystemKind.allCases) func closingTwiceIsHarmless(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let file = try files.open("\(directory)/f", .createNew)
            file.close()
            file.close()
        }
    }

    // MARK: Bytes

    @Test(arguments: FileSystemKind.allCases) func readsReturnWhatWasWrittenAndEndWithTheFile(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let file = try files.open("\(directory)/f", .createNew)
            defer { file.close() }
            try file.write(Array("hello".utf8), at: 10_000)
            #expect(try file.status().size == 10_005)
            #expect(try file.bytes(at: 9_998, count: 100) == [0, 0] + Array("hello".utf8))
            #expect(try file.bytes(at: 10_005, count: 10) == [])
            #expect(try file.bytes(at: 1 << 40, count: 10) == [])
            #expect(try file.bytes(at: 0, count: 0) == [])
            try file.write([], at: 20_000)
            #expect(try file.status().size == 10_005, "writing nothing does not grow a file")
            let other = try files.open("\(directory)/f", .read)
            defer { other.close() }
            #expect(try other.bytes(at: 10_000, count: 5) == Array("hello".utf8), "another description sees it")
        }
    }

    @Test(arguments: FileSystemKind.allCases) func moreThanOneCallWritesIsWrittenWhole(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let file = try files.open("\(directory)/f", .createNew)
            defer { file.close() }
            let bytes = (0..<(1 << 20) + 5).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            try file.write(bytes, at: 3)
            #expect(try file.status().size == UInt64(bytes.count + 3))
            #expect(try file.bytes(at: 3, count: bytes.count + 10) == bytes)
        }
    }

    @Test(arguments: FileSystemKind.allCases) func allocateGrowsWithZerosAndKeepsBytes(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let file = try files.open("\(directory)/f", .createNew)
            defer { file.close() }
            try file.write([7, 7], at: 0)
            try file.allocate(offset: 0, length: 5000)
            #expect(try file.status().size == 5000)
            #expect(try file.bytes(at: 0, count: 6000) == [7, 7] + [UInt8](repeating: 0, count: 4998))
            try file.allocate(offset: 0, length: 100)
            #expect(try file.status().size == 5000, "allocating below the end does not shrink")
        }
    }

    @Test(arguments: FileSystemKind.allCases) func truncateCutsAndGrowsWithZeros(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let file = try files.open("\(directory)/f", .createNew)
            defer { file.close() }
            try file.write([UInt8](repeating: 9, count: 10_000), at: 0)
            try file.truncate(to: 5)
            try file.truncate(to: 8)
            #expect(try file.bytes(at: 0, count: 100) == [9, 9, 9, 9, 9, 0, 0, 0])
            try file.truncate(to: 0)
            #expect(try file.status().size == 0)
        }
    }

    // MARK: Mappings

    @Test(arguments: FileSystemKind.allCases) func mappingAndFileAreTheSameBytes(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let file = try files.open("\(directory)/f", .createNew)
            defer { file.close() }
            try file.allocate(offset: 0, length: 3 * 4096)
            let whole = try file.map(offset: 0, length: 3 * 4096, writable: true)
            let part = try file.map(offset: 4096, length: 100, writable: false)
            #expect(whole.count == 3 * 4096)
            #expect(part.count == 100)
            whole.base.storeBytes(of: 0xAB, toByteOffset: 4096 + 50, as: UInt8.self)
            #expect(part.base.load(fromByteOffset: 50, as: UInt8.self) == 0xAB, "one mapping sees the other")
            #expect(try file.bytes(at: 4096 + 50, count: 1) == [0xAB], "reads see the mapping")
            try file.write([0xCD], at: 4096 + 51)
            #expect(whole.base.load(fromByteOffset: 4096 + 51, as: UInt8.self) == 0xCD, "the mapping sees writes")
            whole.unmap()
            whole.unmap()
            #expect(part.base.load(fromByteOffset: 51, as: UInt8.self) == 0xCD, "each mapping has a life of its own")
            part.unmap()
        }
    }

    @Test(arguments: FileSystemKind.allCases) func mappingOutlivesDescriptorAndName(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/f"
            let file = try files.open(path, .createNew)
            try file.allocate(offset: 0, length: 4096)
            let mapping = try file.map(offset: 0, length: 4096, writable: true)
            file.close()
            try files.unlink(path)
            mapping.base.storeBytes(of: 5, as: UInt8.self)
            #expect(mapping.base.load(as: UInt8.self) == 5)
            mapping.unmap()
        }
    }

    @Test(arguments: FileSystemKind.allCases) func writableMappingNeedsAWritableFile(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/f"
            try files.create(path, [1])
            let file = try files.open(path, .read)
            defer { file.close() }
            expectIO("mmap", EACCES, path) { _ = try file.map(offset: 0, length: 1, writable: true) }
        }
    }

    // MARK: Names

    @Test(arguments: FileSystemKind.allCases) func listShowsExactlyTheNames(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            #expect(try files.list(directory) == [])
            for number in 0..<300 { try files.create("\(directory)/file \(number)") }
            try files.makeDirectory("\(directory)/sub")
            try files.create("\(directory)/sub/inner")
            #expect(try Set(files.list(directory)) == Set((0..<300).map { "file \($0)" } + ["sub"]))
            #expect(try files.list("\(directory)/sub") == ["inner"])
            expectIO("opendir", ENOENT, "\(directory)/none") { _ = try files.list("\(directory)/none") }
            expectIO("opendir", ENOTDIR, "\(directory)/file 0") { _ = try files.list("\(directory)/file 0") }
        }
    }

    @Test(arguments: FileSystemKind.allCases) func statusTellsKindSizeAndIdentity(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.create("\(directory)/f", [1, 2, 3])
            try files.create("\(directory)/g")
            let status = try #require(try files.status("\(directory)/f"))
            #expect(status.kind == .regular)
            #expect(status.size == 3)
            #expect(try files.status("\(directory)/g")?.inode != status.inode)
            #expect(try files.status(directory)?.kind == .directory)
            let file = try files.open("\(directory)/f", .read)
            #expect(try file.status() == status)
            file.close()
            try files.rename("\(directory)/f", to: "\(directory)/h")
            #expect(try files.status("\(directory)/h") == status, "a rename keeps the inode")
        }
    }

    @Test(arguments: FileSystemKind.allCases) func renameReplacesAndOpenFilesStay(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let (a, b) = ("\(directory)/a", "\(directory)/b")
            try files.create(a, [1])
            try files.create(b, [2])
            let replaced = try files.open(b, .read)
            defer { replaced.close() }
            try files.rename(a, to: b)
            #expect(try files.contents(b) == [1])
            #expect(try files.status(a) == nil)
            #expect(try replaced.bytes(at: 0, count: 9) == [2], "an open file outlives its name")
            expectIO("rename", ENOENT, a) { try files.rename(a, to: b) }
            try files.makeDirectory("\(directory)/d")
            expectIO("rename", EISDIR, b) { try files.rename(b, to: "\(directory)/d") }
            try files.rename(b, to: "\(directory)/d/moved")
            #expect(try files.contents("\(directory)/d/moved") == [1])
            try files.rename("\(directory)/d", to: "\(directory)/e")
            #expect(try files.contents("\(directory)/e/moved") == [1])
            expectIO("rename", EINVAL, "\(directory)/e") { try files.rename("\(directory)/e", to: "\(directory)/e/x") }
        }
    }

    @Test(arguments: FileSystemKind.allCases) func unlinkRemovesTheNameAndForgivesAbsence(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/f"
            try files.create(path, [4])
            let file = try files.open(path, .read)
            try files.unlink(path)
            try files.unlink(path)
            #expect(try files.status(path) == nil)
            #expect(try file.bytes(at: 0, count: 9) == [4])
            file.close()
            try files.makeDirectory("\(directory)/d")
            expectIO("unlink", EISDIR, "\(directory)/d") { try files.unlink("\(directory)/d") }
        }
    }

    @Test(arguments: FileSystemKind.allCases) func makeDirectoryMakesOneLevelOnce(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/d"
            try files.makeDirectory(path)
            expectIO("mkdir", EEXIST, path) { try files.makeDirectory(path) }
            expectIO("mkdir", ENOENT, "\(directory)/x/y") { try files.makeDirectory("\(directory)/x/y") }
        }
    }

    @Test(arguments: FileSystemKind.allCases) func syncsAreForFilesAndDirectories(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/f"
            let file = try files.open(path, .createNew)
            defer { file.close() }
            try file.write([1], at: 0)
            try file.sync()
            try files.syncDirectory(directory)
            expectIO("open", ENOENT, "\(directory)/none") { try syncOpening(files, "\(directory)/none") }
            expectIO("open", ENOTDIR, path) { try syncOpening(files, path) }
            #expect(try files.contents(path) == [1])
        }
    }

    /// Which of its two system calls a failing directory sync names is the implementation's affair.
    private func syncOpening(_ files: any FileSystem, _ path: String) throws {
        do {
            try files.syncDirectory(path)
        } catch WALError.io("fsync", let path, let errno) {
            throw WALError.io(operation: "open", path: path, errno: errno)
        }
    }

    // MARK: Locks

    @Test(arguments: FileSystemKind.allCases) func exclusiveLockExcludesOtherDescriptions(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/lock"
            let first = try files.open(path, .createIfAbsent)
            let second = try files.open(path, .createIfAbsent)
            let reader = try files.open(path, .read)
            #expect(try first.tryLock(byte: 0, .exclusive))
            #expect(try first.tryLock(byte: 0, .exclusive), "one's own lock is no conflict")
            #expect(try !second.tryLock(byte: 0, .exclusive))
            #expect(try !reader.tryLock(byte: 0, .shared))
            #expect(try second.tryLock(byte: 1, .exclusive), "bytes are independent")
            #expect(try second.tryLock(byte: 1 << 40, .exclusive), "also far past the end")
            try first.unlock(byte: 0)
            #expect(try second.tryLock(byte: 0, .exclusive))
            second.close()
            #expect(try first.tryLock(byte: 0, .exclusive), "closing releases")
            first.close()
            #expect(try reader.tryLock(byte: 0, .shared))
            reader.close()
        }
    }

    @Test(arguments: FileSystemKind.allCases) func sharedLocksCoexistAndHoldOffExclusiveOnes(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/lock"
            let writer = try files.open(path, .createIfAbsent)
            let readers = try (0..<2).map { _ in try files.open(path, .read) }
            for reader in readers { #expect(try reader.tryLock(byte: 3, .shared)) }
            #expect(try writer.tryLock(byte: 3, .shared))
            #expect(try !writer.tryLock(byte: 3, .exclusive), "no upgrade while others share")
            readers[0].close()
            #expect(try !writer.tryLock(byte: 3, .exclusive))
            try readers[1].unlock(byte: 3)
            #expect(try writer.tryLock(byte: 3, .exclusive), "the last one may upgrade")
            #expect(try !readers[1].tryLock(byte: 3, .shared))
            #expect(try writer.tryLock(byte: 3, .shared), "and downgrade again")
            #expect(try readers[1].tryLock(byte: 3, .shared))
            readers[1].close()
            writer.close()
        }
    }

    @Test(arguments: FileSystemKind.allCases) func probeSeesOthersAndDisturbsNobody(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/lock"
            let holder = try files.open(path, .createIfAbsent)
            let probe = try files.open(path, .read)
            #expect(try !probe.isLockedByOther(byte: 0))
            #expect(try holder.tryLock(byte: 0, .exclusive))
            #expect(try probe.isLockedByOther(byte: 0))
            #expect(try !holder.isLockedByOther(byte: 0), "one's own lock is not another's")
            #expect(try !probe.isLockedByOther(byte: 1))
            probe.close()
            let third = try files.open(path, .readWrite)
            #expect(try third.isLockedByOther(byte: 0), "closing a probe releases nothing")
            #expect(try holder.tryLock(byte: 0, .shared))
            #expect(try third.isLockedByOther(byte: 0), "a shared lock is seen too")
            holder.close()
            #expect(try !third.isLockedByOther(byte: 0))
            third.close()
        }
    }

    @Test(arguments: FileSystemKind.allCases) func bootIDIsStable(_ kind: FileSystemKind) throws {
        try kind.run { files, _ in
            let id = try files.bootID()
            #expect(try files.bootID() == id)
            #expect(id.high != 0)
        }
    }
}
