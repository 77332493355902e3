import Foundation
import Glibc
import Testing
import TestSupport
import WAL

/// What only the kernel's side of the seam has: EINTR, errno, descriptors, file systems without fallocate.
@Suite struct LinuxFileSystemTests {
    private let files = LinuxFileSystem()

    @Test func interruptedCallsAreRepeated() throws {
        var calls = 0
        let result: Int = try SystemCall.run("pread", on: "/f") {
            calls += 1
            errno = EINTR
            return calls < 3 ? -1 : 42
        }
        #expect(result == 42)
        #expect(calls == 3)
        calls = 0
        let code = try SystemCall.check("fcntl", on: "/f", allowing: [EAGAIN]) {
            calls += 1
            return calls < 3 ? EINTR : EAGAIN
        }
        #expect(code == EAGAIN)
        #expect(calls == 3)
    }

    @Test func errnosBecomeErrors() {
        #expect(SystemCall.error(ENOSPC, in: "pwrite", on: "/f") == .noSpace(path: "/f"))
        #expect(SystemCall.error(EDQUOT, in: "pwrite", on: "/f") == .noSpace(path: "/f"))
        #expect(SystemCall.error(EIO, in: "pwrite", on: "/f") == .io(operation: "pwrite", path: "/f", errno: EIO))
    }

    @Test(arguments: [EBADF, EFAULT]) func mistakesOfTheProgramTrap(_ code: Int32) async {
        await #expect(processExitsWith: .failure) { [code] in
            _ = SystemCall.error(code, in: "pwrite", on: "/f")
        }
    }

    @Test func useAfterCloseTraps() async {
        await #expect(processExitsWith: .failure) {
            let file = try LinuxFileSystem().open("/dev/null", .read)
            file.close()
            _ = try file.bytes(at: 0, count: 1)
        }
    }

    /// /dev/full answers every write with ENOSPC (full(4)).
    @Test func fullDeviceIsNoSpace() throws {
        let file = try files.open("/dev/full", .readWrite)
        defer { file.close() }
        #expect(throws: WALError.noSpace(path: "/dev/full")) { try file.write([1], at: 0) }
    }

    @Test func descriptorsAreClosedOnExec() throws {
        try withTemporaryDirectory { directory in
            let file = try files.open("\(directory)/f", .createNew)
            defer { file.close() }
            let mine = try FileStatusOfDescriptors.find(inode: file.status().inode)
            #expect(mine.count == 1)
            for descriptor in mine { #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0) }
        }
    }

    @Test func closedAndDroppedFilesLeaveNoDescriptor() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/f"
            try files.create(path, [1])
            let inode = try #require(try files.status(path)).inode
            _ = try files.open(path, .read)
            try files.syncDirectory(directory)
            #expect(try FileStatusOfDescriptors.find(inode: inode) == [])
            let status = try #require(try files.status(directory))
            #expect(try FileStatusOfDescriptors.find(inode: status.inode) == [])
        }
    }

    /// /proc/self/smaps says `dc` (do not copy on fork) for such a range (proc(5)).
    @Test func mappingsAreNotInheritedByForks() throws {
        try withTemporaryDirectory { directory in
            let file = try files.open("\(directory)/mapped-file", .createNew)
            defer { file.close() }
            try file.allocate(offset: 0, length: 8192)
            let mapping = try file.map(offset: 4096, length: 4096, writable: true)
            defer { mapping.unmap() }
            let lines = try text("/proc/self/smaps").split(separator: "\n")
            let header = try #require(lines.firstIndex { $0.hasSuffix("\(directory)/mapped-file") })
            let flags = try #require(lines[header...].first { $0.hasPrefix("VmFlags:") })
            #expect(flags.split(separator: " ").contains("dc"))
            #expect(flags.split(separator: " ").contains("sh"))
        }
    }

    @Test func withoutFallocateZerosAreWrittenFromTheEndOn() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/f"
            let file = try #require(try files.open(path, .createNew) as? LinuxFile)
            defer { file.close() }
            try file.write([1, 2, 3], at: 0)
            try file.writeZeros(upTo: 600_000)
            #expect(try files.contents(path) == [1, 2, 3] + [UInt8](repeating: 0, count: 599_997))
            try file.writeZeros(upTo: 10)
            #expect(try file.status().size == 600_000)
        }
    }

    @Test func linksAndDevicesAreOther() throws {
        try withTemporaryDirectory { directory in
            #expect(symlink("/etc", "\(directory)/link") == 0)
            for path in ["\(directory)/link", "/dev/null"] {
                let status = try #require(try files.status(path))
                #expect(status.kind == .other)
            }
        }
    }

    @Test func openingAFifoDoesNotWaitForItsOtherEnd() throws {
        try withTemporaryDirectory { directory in
            #expect(mkfifo("\(directory)/fifo", 0o600) == 0)
            let file = try files.open("\(directory)/fifo", .read)
            defer { file.close() }
            #expect(try file.status().kind == .other)
            expectIO("pread", ESPIPE, "\(directory)/fifo") { _ = try file.bytes(at: 0, count: 1) }
        }
    }

    @Test func bootIDIsTheKernels() throws {
        let id = try files.bootID()
        let kernels = try text("/proc/sys/kernel/random/boot_id")
        #expect("\(LogID(high: id.high, low: id.low))\n" == kernels)
    }

    private func text(_ path: String) throws -> String {
        let file = try files.open(path, .read)
        defer { file.close() }
        // Files of /proc say that they are empty, and some refuse long reads.
        var bytes: [UInt8] = []
        while true {
            let piece = try file.bytes(at: UInt64(bytes.count), count: 4096)
            if piece.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += piece
        }
    }

    /// A child that was forked and has not got to its exec yet has every descriptor, and the locks are those of the description.
    @Test func aClosedFileHoldsNoLockWhoeverElseHasTheDescription() throws {
        try withTemporaryDirectory { directory in
            let fileSystem = LinuxFileSystem()
            let path = "\(directory)/lock"
            let first = try fileSystem.open(path, .createIfAbsent)
            #expect(try first.tryLock(byte: 0, .exclusive))
            #expect(try first.tryLock(byte: 3, .exclusive))
            let second = try fileSystem.open(path, .readWrite)
            #expect(try second.isLockedByOther(byte: 0) && second.isLockedByOther(byte: 3))
            let inherited = (0..<1024 as Range<Int32>).filter { number in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")) == path
            }.map { dup($0) }
            #expect(inherited.count == 2)
            defer { for copy in inherited { close(copy) } }
            first.close()
            #expect(try !second.isLockedByOther(byte: 0) && !second.isLockedByOther(byte: 3))
        }
    }
}

/// The descriptors of this process, from /proc/self/fd.
private enum FileStatusOfDescriptors {
    static func find(inode: UInt64) throws -> [Int32] {
        try LinuxFileSystem().list("/proc/self/fd").compactMap(Int32.init).filter { descriptor in
            var status = stat()
            return fstat(descriptor, &status) == 0 && status.st_ino == inode
        }
    }
}
