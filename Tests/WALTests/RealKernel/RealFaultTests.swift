import Foundation
import TestSupport
import Testing
import WAL

/// Errors that real file systems make, met by a process that has a log.
@Suite(.serialized) struct RealFaultTests {
    // MARK: Write-back that fails

    /// An ext4 image on a small tmpfs: when that is full, the image's write-back fails, and ext4 gives up its journal; when there is space again and it was
    /// mounted anew, all works.
    ///
    /// With a journal, because ext4 without one (Linux 6.18) lets fdatasync say Ok for preallocated blocks that it could not write: docs/durability.md.
    @Test(.enabled(if: Mounts.canLoop, "\(Mounts.loopReason)"))
    func aWriteBackThatFailsAndThenSucceedsAcknowledgesNothingThatIsNotThere() async throws {
        try await withTemporaryDirectory { directory async throws in
            let driver = try Driver(
                in: directory, setup: Mounts.image(onTmpfsOf: "24m"), mounts: true)
            let log = "\(directory)/mnt/log"
            _ = try await driver.expect("open \(log) 4194304")
            _ = try await driver.expect("append 400 500")
            let acknowledged = try await driver.expect("sync")[0]
            #expect(acknowledged > 200_000)

            try await driver.inside("cat /dev/zero > '\(directory)/small/filler' || true")
            // The log's own note of an idle moment may have met the failure first; then it has stopped already.
            let appended = try await driver.ask("append 1000 1000")
            #expect(appended.hasPrefix("ok") || appended.hasPrefix("stopped"), "\(appended)")
            let end = try await driver.expect("state")[2]
            #expect(try await driver.ask("sync").hasPrefix("stopped"))
            #expect(try await driver.ask("sync").hasPrefix("stopped"), "whatever the kernel says to the second flush")
            #expect(try await driver.ask("append 1 10").hasPrefix("stopped"))
            do {
                let reader = try LogReader.open(directory: driver.path(log))
                #expect(reader.isStopped)
                #expect(try reader.durableLSN.rawValue == acknowledged)
                reader.close()
            }

            try await driver.inside("rm '\(directory)/small/filler'")
            #expect(try await driver.ask("sync").hasPrefix("stopped"), "space came back")
            _ = try await driver.ask("close")
            // Nothing can be written until it is mounted anew: refused, or opened; never less than was acknowledged.
            let early = try await driver.ask("open \(log) 4194304")
            #expect(early.hasPrefix("io") || (UInt64(early.dropFirst(3)) ?? 0) >= acknowledged, "\(early)")
            if early.hasPrefix("ok") { _ = try await driver.ask("close") }
            let again = "umount '\(directory)/mnt' && mount -o loop '\(directory)/small/image' '\(directory)/mnt'"
            try await driver.inside(again)
            let reopened = try await driver.expect("open \(log) 4194304")[0]
            #expect(reopened >= acknowledged && reopened <= end)
            let count = try await driver.expect("count")[0]
            _ = try await driver.expect("append 3 10")
            let later = try await driver.expect("sync")[0]

            // What is on the image, and nothing that is only in memory.
            _ = try await driver.expect("close")
            try await driver.inside(again)
            #expect(try await driver.expect("open \(log) 4194304")[0] == later)
            #expect(try await driver.expect("count")[0] == count + 3)
            _ = try await driver.expect("close")
            try await driver.finish()
        }
    }

    /// Power is lost: what the device has is copied after each acknowledgement, and a log opened on the copy holds all of it.
    @Test(.enabled(if: Mounts.canLoop, "\(Mounts.loopReason)"))
    func whatWasAcknowledgedIsOnTheImage() async throws {
        try await withTemporaryDirectory { directory async throws in
            let driver = try Driver(
                in: directory, setup: Mounts.image(onTmpfsOf: "32m"), mounts: true)
            let log = "\(directory)/mnt/log"
            _ = try await driver.expect("open \(log) 65536")
            for round in 1...20 {
                _ = try await driver.expect("append 20 \(round * 300)")
                let durable = try await driver.expect("sync")[0]
                _ = try await driver.expect("append 3 5000")
                // The image as the device has it now: what the page cache above it holds is not there.
                try await driver.inside("""
                    cp '\(directory)/small/image' '\(directory)/small/copy'; mkdir -p '\(directory)/copy'
                    mount -o loop '\(directory)/small/copy' '\(directory)/copy'
                    """)
                let second = try Driver(in: directory)
                let answer = try await second.ask("open \(driver.path("\(directory)/copy/log")) 65536")
                #expect(answer.hasPrefix("ok") && UInt64(answer.dropFirst(3)) ?? 0 >= durable, "round \(round): \(answer)")
                _ = try await second.ask("close")
                try await second.finish()
                try await driver.inside("umount '\(directory)/copy'; rm '\(directory)/small/copy'")
            }
            try await driver.finish()
        }
    }

    // MARK: A file system that gives up

    /// ext4 meets an error of its own and becomes read-only under a writer (`remount,abort` has it do that; `remount,ro` is refused while a file is open for
    /// writing): the mappings stay, nothing traps, and the next flush says so. After fsck and a new mount everything that was acknowledged is there.
    @Test(.enabled(if: Mounts.canLoop, "\(Mounts.loopReason)"))
    func aFileSystemThatBecomesReadOnlyStopsTheWriterAndKeepsWhatWasAcknowledged() async throws {
        try await withTemporaryDirectory { directory async throws in
            let driver = try Driver(
                in: directory,
                setup: """
                    mkdir small mnt; mount -t tmpfs -o size=48m none small; truncate -s 64m small/image
                    mkfs.ext4 -q small/image; mount -o loop small/image mnt
                    """, mounts: true)
            let log = "\(directory)/mnt/log"
            _ = try await driver.expect("open \(log) 1048576")
            _ = try await driver.expect("append 3000 500")
            _ = try await driver.expect("batch 50 500")
            let acknowledged = try await driver.expect("sync")[0]
            let count = try await driver.expect("count")[0]

            await #expect(throws: ServerError.self, "a file is open for writing") { try await driver.inside("mount -o remount,ro '\(directory)/mnt'") }
            _ = try await driver.expect("append 10 500")
            try await driver.inside("mount -o remount,abort '\(directory)/mnt'")
            // More than what is prepared ahead: the mapped part takes records still, a new segment cannot be made.
            let appended = try await driver.ask("append 5000 500")
            #expect(appended.hasPrefix("ok") || appended.hasPrefix("stopped") || appended.hasPrefix("io"), "\(appended)")
            let end = try await driver.expect("state")[2]
            #expect(end > acknowledged)
            #expect(try await driver.ask("sync").hasPrefix("stopped"))
            #expect(try await driver.ask("sync").hasPrefix("stopped"), "whatever the kernel says to the second flush")
            #expect(try await driver.ask("append 1 10").hasPrefix("stopped"))
            #expect(try await !driver.ask("truncate 500").hasPrefix("ok"))
            #expect(try await driver.expect("state")[1] == acknowledged)
            #expect(try await driver.expect("count")[0] >= count, "what can be read is read")
            _ = try await driver.ask("close")
            #expect(try await !driver.ask("open \(log) 1048576").hasPrefix("ok"), "it cannot be written to")

            // 1: errors were corrected.
            try await driver.inside("umount '\(directory)/mnt'; e2fsck -fy '\(directory)/small/image' || [ $? -le 1 ]; mount -o loop '\(directory)/small/image' '\(directory)/mnt'")
            let reopened = try await driver.expect("open \(log) 1048576")[0]
            #expect(reopened >= acknowledged && reopened <= end)
            #expect(try await driver.expect("count")[0] >= count)
            _ = try await driver.expect("append 100 500")
            let later = try await driver.expect("sync")[0]
            #expect(later >= acknowledged + 50_000)
            _ = try await driver.expect("close")
            #expect(try await driver.expect("open \(log) 1048576")[0] == later)
            _ = try await driver.expect("close")
            try await driver.finish()
        }
    }

    /// membarrier(2) is missing from old kernels and from many filters of system calls; a process may be given such a filter at any time.
    @Test(.enabled(if: FailingCallTests.tracer != nil, "needs strace"), arguments: 1...4, ["ENOSYS", "EPERM"])
    func aKernelWithoutMembarrierOrOneThatTakesItAwayStopsNoProcess(_ first: Int, _ code: String) async throws {
        try await withTemporaryDirectory { directory async throws in
            let driver = try Driver(
                in: directory,
                tracer: ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=membarrier", "-e", "inject=membarrier:error=\(code):when=\(first)+"])
            _ = try await driver.expect("open \(directory)/log 16384")
            _ = try await driver.expect("append 3 1000")
            let durable = try await driver.expect("sync")[0]
            // Too large to be mapped whole, so the tail is frozen. The process registers, tries, freezes, thaws.
            let answer = try await driver.ask("append 1 300000")
            #expect(answer.hasPrefix(first == 3 ? "io" : "ok"), "\(first): \(answer)")
            #expect(try await driver.ask("append 1 10").hasPrefix(first == 4 ? "stopped" : "ok"))
            #expect(try await driver.ask("sync").hasPrefix(first == 4 ? "stopped" : "ok"))
            // Opened again, the log does without.
            #expect(try await driver.expect("open \(directory)/log 16384")[0] >= durable)
            _ = try await driver.expect("append 1 300000")
            _ = try await driver.expect("sync")
            _ = try await driver.expect("close")
            try await driver.finish()
        }
    }

    // MARK: Nothing left

    @Test(.enabled(if: Mounts.arePossible, "\(Mounts.reason)"), arguments: ["size=8m size=32m", "size=64m,nr_inodes=20 size=64m,nr_inodes=400"])
    func aFullFileSystemIsAnErrorOfOneAppendAndTheLogGoesOnWhenThereIsSpace(_ sizes: String) async throws {
        let (small, large) = (sizes.split(separator: " ")[0], sizes.split(separator: " ")[1])
        try await withTemporaryDirectory { directory async throws in
            let driver = try Driver(in: directory, setup: "mkdir mnt; mount -t tmpfs -o \(small) none mnt", mounts: true)
            let log = "\(directory)/mnt/log"
            _ = try await driver.expect("open \(log) 262144")
            var answer = ""
            for _ in 0..<2000 {
                answer = try await driver.ask("append 8 16000")
                if !answer.hasPrefix("ok") { break }
            }
            #expect(answer.hasPrefix("noSpace"), "\(answer)")
            let state = try await driver.ask("state")
            for _ in 0..<3 { #expect(try await driver.ask("append 1 300000").hasPrefix("noSpace")) }
            #expect(try await driver.ask("state") == state)
            // A full disk stops no sync, and all of it can be read.
            let durable = try await driver.expect("sync")[0]
            #expect("\(durable)" == state.split(separator: " ").last ?? "")
            let count = try await driver.expect("count")[0]
            #expect(count > 100)
            // It opens on a full disk, too.
            _ = try await driver.expect("close")
            #expect(try await driver.expect("open \(log) 262144")[0] == durable)

            try await driver.inside("mount -o remount,\(large) '\(directory)/mnt'")
            _ = try await driver.expect("append 50 16000")
            _ = try await driver.expect("sync")
            _ = try await driver.expect("close")
            _ = try await driver.expect("open \(log) 262144")
            #expect(try await driver.expect("count")[0] == count + 50)
            try await driver.finish()
        }
    }
}
